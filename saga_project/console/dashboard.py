"""The dashboard: services by state, work for staff, deployments under way, and DORA metrics.

Every number comes from a query that an index answers, or that counts the services; every number links to
the list behind it.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from registry.models import Event, Service
from saga_project.console import confirm, event_groups, fragments, live, protection, roles
from saga_project.web import health
from updates.history import dora
from updates.models import Approval, HistoryEntry, Job, Source
from webhooks.models import Delivery

DORA_WINDOW = dt.timedelta(days=30)
CHART_DAYS = 14
EVENTS_SHOWN = 16
EVENTS_READ = 200
JOBS_SHOWN = 10
STATES = ("up", "degraded", "expired", "pending")


@dataclass(frozen=True, kw_only=True)
class PendingItem:
    """Something that waits for a person."""

    count: int
    text: str
    icon: str
    tone: str
    link: str


def page(request: HttpRequest, site: dict[str, Any]) -> HttpResponse:
    now = timezone.now()
    return fragments.answer(
        request,
        page="console/dashboard.html",
        live="console/dashboard_live.html",
        context=_live_context(request)
        if _is_part(request)
        else {**_live_context(request), **_figures(now)},
        site={**site, "title": "Dashboard"},
    )


def _is_part(request: HttpRequest) -> bool:
    return bool(request.headers.get(fragments.FRAGMENT_HEADER))


def _live_context(request: HttpRequest) -> dict[str, Any]:
    states = Service.objects.count_by_state()
    jobs = list(
        Job.objects.locking().select_related("service").order_by("-created_at")[:JOBS_SHOWN]
    )
    return {
        "states": [
            {"word": word, "count": states.get(word, 0), "link": _services(word)} for word in STATES
        ],
        "total": sum(states.get(word, 0) for word in STATES),
        "needs": _needs(states),
        "jobs": live.with_current_steps(jobs),
        "groups": event_groups.group(
            Event.objects.order_by("-transaction", "-id")[:EVENTS_READ], most=EVENTS_SHOWN
        ),
        "protection": protection.state(),
        "protection_verbs": confirm.allowed(
            request, protection.verbs(actor=roles.person(request).get_username())
        ),
        "problems": health.examine().problems,
    }


def _services(word: str) -> str:
    return f"{reverse('admin:registry_service_changelist')}?state={word}"


def _needs(states: dict[str, int]) -> list[PendingItem]:
    jobs = Job.objects.locking().aggregate(
        paused=Count("pk", filter=Q(status=Job.Status.PAUSED)),
        stuck=Count("pk", filter=Q(needs_attention=True)),
    )
    approvals = Approval.objects.filter(state=Approval.State.PENDING).count()
    dead = Delivery.objects.dead().count()
    failing = Source.objects.filter(is_enabled=True, failures__gt=0).count()
    job_list = reverse("admin:updates_job_changelist")
    needs = [
        PendingItem(
            count=states.get("pending", 0),
            text=_counted(
                states.get("pending", 0),
                "service is awaiting approval",
                "services are awaiting approval",
            ),
            icon="how_to_reg",
            tone="warn",
            link=_services("pending"),
        ),
        PendingItem(
            count=approvals,
            text=_counted(
                approvals, "update is awaiting approval", "updates are awaiting approval"
            ),
            icon="rule",
            tone="warn",
            link=f"{reverse('admin:updates_approval_changelist')}?state__exact=pending",
        ),
        PendingItem(
            count=jobs["paused"],
            text=_counted(jobs["paused"], "deployment is paused", "deployments are paused"),
            icon="pause_circle",
            tone="warn",
            link=f"{job_list}?status__exact=paused",
        ),
        PendingItem(
            count=jobs["stuck"],
            text=_counted(
                jobs["stuck"], "deployment's rollback failed", "deployments' rollbacks failed"
            ),
            icon="report",
            tone="bad",
            link=f"{job_list}?needs_attention__exact=1",
        ),
        PendingItem(
            count=states.get("expired", 0),
            text=_counted(states.get("expired", 0), "service is expired", "services are expired"),
            icon="cancel",
            tone="bad",
            link=_services("expired"),
        ),
        PendingItem(
            count=dead,
            text=_counted(dead, "delivery is dead", "deliveries are dead"),
            icon="unsubscribe",
            tone="bad",
            link=f"{reverse('admin:webhooks_delivery_changelist')}?status__exact=dead",
        ),
        PendingItem(
            count=failing,
            text=_counted(failing, "update source fails", "update sources fail"),
            icon="cloud_off",
            tone="warn",
            link=f"{reverse('admin:updates_source_changelist')}?failures__gt=0",
        ),
    ]
    return [need for need in needs if need.count]


def _counted(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _figures(now: dt.datetime) -> dict[str, Any]:
    """Values that change too slowly to be polled every few seconds."""
    history = reverse("admin:updates_historyentry_changelist")
    return {
        "dora": dora.metrics(window=DORA_WINDOW, now=now),
        "dora_days": DORA_WINDOW.days,
        "dora_link": f"{history}?timestamp__gte={now - DORA_WINDOW:%Y-%m-%d}",
        **_chart(now),
    }


def _chart(now: dt.datetime) -> dict[str, Any]:
    first = now.date() - dt.timedelta(days=CHART_DAYS - 1)
    rows = (
        HistoryEntry.objects.standing()
        .filter(timestamp__gte=dt.datetime.combine(first, dt.time(), dt.UTC))
        .annotate(day=TruncDate("timestamp"))
        .values_list("day", "status")
        .annotate(count=Count("pk"))
        .order_by()
    )
    counts = {(day, status): count for day, status, count in rows}
    days = [first + dt.timedelta(days=offset) for offset in range(CHART_DAYS)]
    statuses = (
        (HistoryEntry.Status.SUCCESS, "Succeeded", "var(--sg-good)"),
        (HistoryEntry.Status.ROLLED_BACK, "Rolled back", "var(--sg-warn)"),
        (HistoryEntry.Status.FAILED, "Failed", "var(--sg-bad)"),
    )
    data = {
        "labels": [f"{day:%-d %b}" for day in days],
        "datasets": [
            {
                "label": label,
                "data": [counts.get((day, status), 0) for day in days],
                "backgroundColor": colour,
            }
            for status, label, colour in statuses
        ],
    }
    table = [
        {"day": day, "counts": [counts.get((day, status), 0) for status, *_ in statuses]}
        for day in days
        if any(counts.get((day, status)) for status, *_ in statuses)
    ]
    return {"chart_data": json.dumps(data), "chart_options": _CHART_OPTIONS, "chart_table": table}


_CHART_OPTIONS = json.dumps(
    {
        "animation": False,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"position": "bottom", "labels": {"boxWidth": 10, "boxHeight": 10}}},
        "scales": {
            "x": {"stacked": True, "grid": {"display": False}},
            "y": {"stacked": True, "beginAtZero": True, "ticks": {"precision": 0}},
        },
    }
)
