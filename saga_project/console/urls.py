"""The console's addresses, all below /admin/ and all but one behind its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, path

from saga_project.console import (
    approval_links,
    approvals,
    configurations,
    deployments,
    own_tokens,
    protection,
    services,
    sources,
    start,
    webhooks,
)

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


def patterns(guard: Guard) -> list[URLPattern | URLResolver]:
    """Return the addresses; ``guard`` asks for a member of staff."""
    return [
        path("protection/do/<slug:verb>/", guard(protection.act), name="console_protection_verb"),
        path("tokens/", guard(own_tokens.page), name="console_tokens"),
        path("tokens/<int:number>/revoke/", guard(own_tokens.revoke), name="console_token_revoke"),
        # Without a login: the link itself says for which reader it was made.
        path("approve/<str:token>/", approval_links.page, name="console_approval_link"),
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
        path(
            "updates/approval/<int:number>/change/", guard(approvals.page), name="console_approval"
        ),
        path(
            "approvals/<int:number>/do/<slug:verb>/",
            guard(approvals.act),
            name="console_approval_verb",
        ),
        path(
            "webhooks/inboundcall/<uuid:number>/change/",
            guard(webhooks.call_page),
            name="console_call",
        ),
        path(
            "calls/<uuid:number>/do/<slug:verb>/",
            guard(webhooks.call_act),
            name="console_call_verb",
        ),
        path(
            "webhooks/delivery/<uuid:number>/change/",
            guard(webhooks.delivery_page),
            name="console_delivery",
        ),
        path(
            "deliveries/<uuid:number>/do/<slug:verb>/",
            guard(webhooks.delivery_act),
            name="console_delivery_verb",
        ),
        path("deliveries/replay/", guard(webhooks.replay_page), name="console_replay"),
        path(
            "webhooks/configuration/add/",
            guard(configurations.add),
            name="console_configuration_add",
        ),
        path(
            "webhooks/configuration/<int:number>/change/",
            guard(configurations.page),
            name="console_configuration",
        ),
        path(
            "webhooks/configuration/<int:number>/test/<str:channel>/",
            guard(configurations.test),
            name="console_configuration_test",
        ),
        path("sources/connect/", guard(sources.connect), name="console_source_connect"),
        path("sources/<int:number>/", guard(sources.page), name="console_source"),
        # Where the admin's own lists lead.
        path("registry/service/<str:number>/change/", guard(services.by_number)),
        path("updates/job/<str:number>/change/", guard(deployments.by_number)),
    ]
