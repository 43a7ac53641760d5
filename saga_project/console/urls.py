"""The console's addresses, all below /admin/ and all behind its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, path

from saga_project.console import deployments, services, start

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


def patterns(guard: Guard) -> list[URLPattern | URLResolver]:
    """Return the addresses; ``guard`` asks for a member of staff."""
    return [
        path("start/", guard(start.view), name="console_start"),
        path("services/<str:name>/", guard(services.page), name="console_service"),
        path("services/<str:name>/notes/", guard(services.note), name="console_service_notes"),
        path(
            "services/<str:name>/do/<slug:verb>/", guard(services.act), name="console_service_verb"
        ),
        path("deployments/<str:job_id>/", guard(deployments.page), name="console_job"),
        path(
            "deployments/<str:job_id>/do/<slug:verb>/",
            guard(deployments.act),
            name="console_job_verb",
        ),
        # Where the admin's own lists lead.
        path("registry/service/<str:number>/change/", guard(services.by_number)),
        path("updates/job/<str:number>/change/", guard(deployments.by_number)),
    ]
