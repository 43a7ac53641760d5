"""A service's page: health, versions, releases, subscribers, and commands to copy."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, IntegerField, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

import registry.operations
from registry import directory
from registry.identity import accounts
from registry.models import Event, Instance, Service, Subscription, manager_of
from registry.operations import uptime
from saga_project.console import (
    confirm,
    day,
    fragments,
    live,
    related,
    roles,
    service_verbs,
    snippets,
)
from saga_project.shared import timestamps
from saga_project.shared.errors import RedisUnavailable
from updates.history import records
from updates.models import HistoryEntry, Job, Release
from updates.policies import coverage, preview
from webhooks.models import Configuration

INSTANCES_SHOWN = 100
EVENTS_SHOWN = 6
HISTORY_SHOWN = 10
RELEASES_SHOWN = 5
CHANGES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Presence:
    """An instance as its row knows it, and as it lives now."""

    row: Instance
    state: str
    health: str
    last_heartbeat_at: dt.datetime
    deadline_at: dt.datetime | None


def page(request: HttpRequest, name: str) -> HttpResponse:
    roles.demand(request, "registry.view_service")
    service = _find(name)
    now = timezone.now()
    is_whole = not request.headers.get(fragments.FRAGMENT_HEADER)
    plan = preview.plan(service, now=now) if is_whole else None
    context = _live_context(request, service, plan, now=now)
    if plan is not None:
        context.update(_slow_context(request, service, plan))
    return fragments.answer(
        request,
        page="console/service.html",
        live="console/service_live.html",
        context=context,
        site={
            **admin.site.each_context(request),
            "title": service.name,
            "sg_list": "registry.service",
        },
    )


def _find(name: str) -> Service:
    service = Service.objects.with_state().select_related("account").filter(name=name).first()
    if service is None:
        raise Http404(f"No service is called {name}.")
    return service


def _live_context(
    request: HttpRequest, service: Service, plan: preview.Plan | None, *, now: dt.datetime
) -> dict[str, Any]:
    rows = list(_instances(service))
    seen, is_known = _presences(service, rows)
    verbs = service_verbs.of(service, user=roles.person(request), now=now, plan=plan)
    jobs = list(Job.objects.filter(service=service).locking()[:1])
    return {
        "service": service,
        "instances": seen,
        "is_presence_known": is_known,
        "day": day.of(service, rows, now=now),
        "verbs": confirm.allowed(request, verbs),
        "jobs": live.with_current_steps(jobs),
        "events": Event.objects.filter(service_name=service.name).order_by("-transaction", "-id")[
            :EVENTS_SHOWN
        ],
    }


def _instances(service: Service) -> Any:
    is_first = Case(
        When(state=Instance.State.LIVE, then=Value(0)),
        default=Value(1),
        output_field=IntegerField(),
    )
    return service.instances.order_by(is_first, "instance_id")[:INSTANCES_SHOWN]


def _presences(service: Service, rows: list[Instance]) -> tuple[list[Presence], bool]:
    """Pair the rows with the live instances; also return whether Redis answered."""
    try:
        entry = directory.find(service.name)
    except RedisUnavailable:
        return [_as_recorded(row) for row in rows], False
    return [_as_it_lives(row, entry) for row in rows], True


def _as_recorded(row: Instance) -> Presence:
    return Presence(
        row=row,
        state=row.state,
        health=row.combined_health,
        last_heartbeat_at=row.last_heartbeat_at,
        deadline_at=None,
    )


def _as_it_lives(row: Instance, entry: directory.ServiceEntry | None) -> Presence:
    known = entry.instances.get(row.instance_id) if entry is not None else None
    deadline_us = known.deadline_us(entry.floor_us) if known and entry else 0
    if known is None or deadline_us <= directory.now_us():
        gone = Instance.State.EXPIRED if row.state == Instance.State.LIVE else row.state
        return Presence(
            row=row,
            state=gone,
            health=row.combined_health,
            last_heartbeat_at=row.last_heartbeat_at,
            deadline_at=None,
        )
    return Presence(
        row=row,
        state=Instance.State.LIVE,
        health=known.health,
        last_heartbeat_at=known.last_heartbeat_at,
        deadline_at=timestamps.at(deadline_us),
    )


def _slow_context(request: HttpRequest, service: Service, plan: preview.Plan) -> dict[str, Any]:
    """The parts that staff or a deployment change."""
    configuration = Configuration.objects.filter(service=service).first()
    live_url = service.instances.live().order_by("instance_id").values_list("url", flat=True)
    return {
        "uptime": _uptime(service),
        "plan": plan,
        "calendar": related.calendar_of(plan),
        "policy_reason": coverage.reason_of_policy(plan.policy),
        "offer": plan.offer,
        "drift": _drift(service),
        "related": related.of(service, plan, configuration, user=roles.person(request)),
        "manager": manager_of(service),
        "releases": Release.objects.filter(service=service).order_by("-recorded_at", "-id")[
            :RELEASES_SHOWN
        ],
        "dependants": service.subscriptions.exclude(state=Subscription.State.CANCELLED),
        "history": HistoryEntry.objects.filter(service_name=service.name)
        .standing()
        .newest_first()[:HISTORY_SHOWN],
        "configuration": configuration,
        "snippets": snippets.of(
            service.name,
            version=service.version,
            base=snippets.base_of(request),
            url=live_url.first() or "",
        ),
        "may_note": request.user.has_perm(roles.CHANGE_SERVICE),
        "max_notes": registry.operations.MAX_NOTES,
    }


def _drift(service: Service) -> str:
    """Return the version that Saga deployed last where the service reports another one."""
    placed = records.placed_version(service.name)
    is_busy = Job.objects.filter(service=service).live().exists()
    return (
        placed if placed and service.version and placed != service.version and not is_busy else ""
    )


def _uptime(service: Service) -> uptime.Uptime | None:
    """Return the uptime of a service that has health checks."""
    if not service.health_checks.exists():
        return None
    return uptime.of(service, now=timezone.now(), limit=CHANGES_SHOWN)


def by_number(request: HttpRequest, number: str) -> HttpResponse:
    """Open the page of the row that the admin's lists link to."""
    roles.demand(request, "registry.view_service")
    if not number.isdecimal():
        raise Http404
    service = get_object_or_404(Service, pk=int(number))
    return redirect("admin:console_service", service.name)


@require_POST
def note(request: HttpRequest, name: str) -> HttpResponse:
    roles.demand(request, roles.CHANGE_SERVICE)
    notes = request.POST.get("notes", "").replace("\x00", "")[: registry.operations.MAX_NOTES]
    by = accounts.staff(request.user.get_username())
    registry.operations.set_notes(_find(name).name, notes, by=by, now=timezone.now())
    messages.success(request, "The notes are kept.")
    return HttpResponseRedirect(reverse("admin:console_service", args=[name]))


def act(request: HttpRequest, name: str, verb: str) -> HttpResponse:
    roles.demand(request, "registry.view_service")
    service = _find(name)
    return confirm.ask(
        request,
        service_verbs.of(service, user=roles.person(request), now=timezone.now()),
        verb,
        subject=service.name,
        back=reverse("admin:console_service", args=[name]),
        site=admin.site.each_context(request),
    )
