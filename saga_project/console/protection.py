"""Mass-expiry protection: its state for the console's notices, and the buttons of what staff decide."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django_redis.exceptions import ConnectionInterrupted
from redis import exceptions as redis_exceptions

from registry.background import protection
from saga_project.console import confirm, roles
from saga_project.shared.admin.verbs import ButtonVerb, Form, Verb

MINUTES = protection.DECISION_SECONDS // 60


def state() -> dict[str, Any]:
    """Return ``word`` (off, on, silent: no sweep ran lately, unknown: Redis is gone) and the counts."""
    try:
        seen = protection.state()
    except (ConnectionInterrupted, redis_exceptions.RedisError):
        return {"word": "unknown"}
    if seen is None:
        return {"word": "silent"}
    return {
        "word": "on" if seen["is_protecting"] else "off",
        "suspects": seen["suspects"],
        "instances": seen["instances"],
        "decision": protection.decision(),
    }


def verbs(*, actor: str) -> list[ButtonVerb]:
    """Return the buttons; one that is pressed when nothing is held back any more says so."""
    return [
        Verb(
            name=protection.GONE,
            label="They are really gone",
            icon="person_off",
            permission=roles.DEREGISTER_SERVICE,
            link=reverse("admin:console_protection_verb", args=[protection.GONE]),
            is_danger=True,
            consequences=[
                "All suspects expire in the next sweep, and subscribers get service.expired for each.",
                "Services that are alive after all are listed again with their next heartbeat.",
            ],
            does=partial(_decide, protection.GONE, actor),
        ),
        Verb(
            name=protection.HOLD,
            label="Hold all of them",
            icon="pan_tool",
            permission=roles.DEREGISTER_SERVICE,
            link=reverse("admin:console_protection_verb", args=[protection.HOLD]),
            is_primary=True,
            consequences=[
                f"No suspect expires for {MINUTES} minutes; lookups find them meanwhile."
            ],
            does=partial(_decide, protection.HOLD, actor),
        ),
    ]


def _decide(what: str, actor: str, _: Form) -> tuple[str, None]:
    protection.decide(what, actor=actor)
    texts = {
        protection.GONE: "The suspects expire in the next sweep.",
        protection.HOLD: f"No suspect expires for {MINUTES} minutes.",
    }
    return texts[what], None


def act(request: HttpRequest, verb: str) -> HttpResponse:
    return confirm.ask(
        request,
        verbs(actor=roles.person(request).get_username()),
        verb,
        subject="suspects of the protection mode",
        back=reverse("admin:index"),
        site=admin.site.each_context(request),
    )
