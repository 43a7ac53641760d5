"""Subscriptions in the admin: the programs that depend on a service."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from registry import operations
from registry.admin.managed import MarksManaged
from registry.identity import accounts
from registry.models import Subscription
from saga_project.shared import http_client
from saga_project.shared.admin import readonly, verbs


def _activate(request: HttpRequest, subscription: Subscription, _reason: str) -> None:
    _move(request, subscription, to=Subscription.State.ACTIVE)


def _suspend(request: HttpRequest, subscription: Subscription, _reason: str) -> None:
    _move(request, subscription, to=Subscription.State.SUSPENDED)


def _move(request: HttpRequest, subscription: Subscription, *, to: str) -> None:
    by = accounts.staff(request.user.get_username())
    operations.move_subscription(subscription.pk, to=to, by=by, now=timezone.now())


def _cancel(request: HttpRequest, subscription: Subscription, _reason: str) -> None:
    by = accounts.staff(request.user.get_username())
    operations.cancel_subscription(subscription.pk, by=by, now=timezone.now())


ACTIVATE = verbs.Verb(
    name="activate_subscriptions",
    label="Activate",
    consequences=["Events are sent to these subscribers from now on."],
    done="Activated",
    does=_activate,
)
SUSPEND = verbs.Verb(
    name="suspend_subscriptions",
    label="Suspend",
    consequences=["No events are sent to these subscribers until they are activated again."],
    done="Suspended",
    does=_suspend,
)
CANCEL = verbs.Verb(
    name="cancel_subscriptions",
    label="Cancel for good",
    consequences=[
        "These subscriptions end for good, and no longer keep their service from deregistering."
    ],
    done="Cancelled",
    does=_cancel,
)


@admin.register(Subscription)
class SubscriptionAdmin(readonly.ReadOnly, MarksManaged):
    list_display = (
        "subscriber",
        "service_name",
        "state_label",
        "leads_to",
        "topics",
        "created_at",
    )
    list_filter = ("state",)
    list_select_related = ("service",)
    list_per_page = 50
    search_fields = ("subscriber", "service__name", "service_glob")
    date_hierarchy = "created_at"
    actions = ("activate_subscriptions", "suspend_subscriptions", "cancel_subscriptions")
    exclude = ("sealed_secret", "callback_url")
    readonly_fields = ("leads_to",)

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.change_subscription"))

    @display(description="Leads to")
    def leads_to(self, subscription: Subscription) -> str:
        """A callback's path may be a credential: all of it is shown to its owner only, by API."""
        url = subscription.callback_url
        return http_client.masked(url) if url else ""

    @display(
        description="State",
        ordering="state",
        label={
            "Active": "success",
            "Pending": "info",
            "Suspended": "warning",
            "Cancelled": "danger",
        },
    )
    def state_label(self, subscription: Subscription) -> str:
        return Subscription.State(subscription.state).label

    @action(description="Activate", permissions=["steer"])
    def activate_subscriptions(
        self, request: HttpRequest, queryset: QuerySet[Subscription]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, ACTIVATE)

    @action(description="Suspend", permissions=["steer"])
    def suspend_subscriptions(
        self, request: HttpRequest, queryset: QuerySet[Subscription]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, SUSPEND)

    @action(description="Cancel for good", permissions=["steer"])
    def cancel_subscriptions(
        self, request: HttpRequest, queryset: QuerySet[Subscription]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, CANCEL)
