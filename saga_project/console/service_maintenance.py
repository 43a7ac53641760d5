"""The actions that take a service, or an instance of it, out of the lookups, and put it back."""

from __future__ import annotations

import datetime as dt

from django.urls import reverse

from registry.identity import accounts
from registry.models import Service
from registry.operations import maintenance
from saga_project.console import roles
from saga_project.shared.admin.verbs import ButtonVerb, Choice, Form, Verb

MAX_OFFERED = 200
#: No instance has this id.
_ALL = "*"


def verbs_of(service: Service, *, by: str, now: dt.datetime) -> list[ButtonVerb]:
    """Return what can begin, and what can end, in the service's present state."""
    live = service.instances.live().order_by("instance_id")
    rows = list(live.values_list("instance_id", "maintenance_since")[:MAX_OFFERED])
    has_service = service.maintenance_since is not None
    present = [
        *([(_ALL, "The whole service")] if not has_service else []),
        *((i, i) for i, at in rows if not at),
    ]
    absent = [
        *([(_ALL, "The whole service")] if has_service else []),
        *((i, i) for i, at in rows if at),
    ]
    verbs = []
    if present and service.status != Service.Status.DEREGISTERED:
        verbs.append(_begin(service, present, by, now))
    if absent:
        verbs.append(_end(service, absent, by, now))
    return verbs


def _begin(
    service: Service, offered: list[tuple[str, str]], by: str, now: dt.datetime
) -> ButtonVerb:
    def does(form: Form) -> tuple[str, str | None]:
        maintenance.begin(
            service.name,
            instance_id=_chosen(form),
            reason=form["reason"],
            by=accounts.staff(by),
            now=now,
        )
        return f"{_chosen(form) or service.name} is out of the lookups.", None

    return Verb(
        name="begin-maintenance",
        label="Begin maintenance",
        icon="construction",
        permission=roles.CHANGE_SERVICE,
        link=_link(service, "begin-maintenance"),
        consequences=[
            "No lookup finds the service; an instance is left out while others are there.",
            "Heartbeats go on, and deployments put nothing back: it lasts until it is ended here.",
        ],
        choices=[
            Choice(name="instance", label="What", options=offered, is_required=True),
            Choice(name="reason", label="Reason", is_long=True),
        ],
        does=does,
    )


def _end(service: Service, offered: list[tuple[str, str]], by: str, now: dt.datetime) -> ButtonVerb:
    def does(form: Form) -> tuple[str, str | None]:
        chosen = _chosen(form)
        maintenance.end(service.name, instance_id=chosen, by=accounts.staff(by), now=now)
        return f"{chosen or service.name} is in the lookups again.", None

    return Verb(
        name="end-maintenance",
        label="End maintenance",
        icon="task_alt",
        permission=roles.CHANGE_SERVICE,
        link=_link(service, "end-maintenance"),
        consequences=["Lookups find it again, while it sends heartbeats."],
        choices=[Choice(name="instance", label="What", options=offered, is_required=True)],
        does=does,
    )


def _chosen(form: Form) -> str | None:
    """Return the instance that was chosen, None for the whole service."""
    return None if form["instance"] == _ALL else form["instance"]


def _link(service: Service, verb: str) -> str:
    return reverse("admin:console_service_verb", args=[service.name, verb])
