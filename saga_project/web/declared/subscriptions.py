"""The section ``subscriptions``: programs that depend on services, by the operations of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F, QuerySet

from registry import errors, names
from registry.models import Service, Subscription
from registry.operations import cancel_subscription, declared_subscriptions
from registry.operations.declared_subscriptions import DeclaredSubscription
from registry.operations.subscriptions import EVERY_TOPIC
from saga_project.shared import http_client
from saga_project.web.declared.section import Author, Section
from webhooks.operations import configuration

_KNOWN_BY = ("id", "service_name", "subscriber")


class SubscriptionSection(Section):
    """A subscription that its file drops is cancelled, and stays on record."""

    def rows(self) -> QuerySet[Subscription]:
        order = (F("service__name").asc(nulls_first=True), "service_glob", "subscriber", "pk")
        found = Subscription.objects.select_related("service", "account")
        return found.exclude(state=Subscription.State.CANCELLED).order_by(*order)

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values["service_name"]
        is_glob = names.is_glob(name)
        wanted = DeclaredSubscription(
            id=values.get("id"),
            service=None if is_glob else _service(name),
            service_glob=names.check_service_glob(name) if is_glob else "",
            subscriber=values["subscriber"],
            callback_url=values.get("callback_url", ""),
            topics=values.get("topics") or [EVERY_TOPIC],
            state=values.get("state", Subscription.State.ACTIVE),
            is_accepted=values.get("accepted", False),
            account=values.get("account"),
            secret=values.get("secret"),
        )
        if wanted.callback_url:
            http_client.check_url(wanted.callback_url, field="callback_url")
        if wanted.secret:
            configuration.check_secret(wanted.secret)
        return {"wanted": wanted}

    def find(self, values: Mapping[str, Any]) -> Subscription | None:
        return declared_subscriptions.find(values["wanted"])

    def known_as(self, row: Subscription) -> dict[str, Any]:
        shown = self.describe(row)
        return {name: shown[name] for name in _KNOWN_BY}

    def write(
        self, row: Subscription | None, values: dict[str, Any], author: Author
    ) -> tuple[Subscription, bool]:
        return declared_subscriptions.write(row, values["wanted"], by=author.by, now=author.now)

    def prune(self, row: Subscription, author: Author) -> str:
        cancel_subscription(row.pk, by=author.by, now=author.now)
        return "delete"


def _service(name: str) -> Service:
    service = Service.objects.filter(name=names.check_service_name(name)).first()
    if service is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return service
