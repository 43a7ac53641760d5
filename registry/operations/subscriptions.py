"""Subscriptions: the programs that depend on a service and get its events."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import uuid

from django.db import transaction

from registry import errors
from registry.identity.accounts import Caller
from registry.models import Service, Subscription
from saga_project.shared import crypto, transitions

SECRET_MARK = "whsec_"  # noqa: S105  (where every Standard Webhooks secret begins)
SECRET_BYTES = 32
EVERY_TOPIC = "*"

State = Subscription.State


def subscribe(
    service_name: str,
    *,
    subscriber: str,
    by: Caller | None,
    callback_url: str = "",
    topics: list[str] | None = None,
    state: str = State.ACTIVE,
) -> tuple[Subscription, str | None]:
    """Return a new subscription, and the secret that signs what its callback gets.

    The secret is shown this once. Raises ServiceNotFound where the service is not registered.
    """
    secret = SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")
    with transaction.atomic(durable=True):
        # The lock lets no deregistration pass that did not count this subscription.
        services = Service.objects.registered().select_for_update().filter(name=service_name)
        service = next(iter(services), None)
        if service is None:
            raise errors.ServiceNotFound(f"Service '{service_name}' not found in registry")
        subscription = Subscription.objects.create(
            service=service,
            subscriber=subscriber,
            callback_url=callback_url,
            topics=topics or [EVERY_TOPIC],
            state=state,
            sealed_secret=crypto.encrypt(secret) if callback_url else "",
            account=by.account if by is not None and by.account.pk else None,
        )
    return subscription, secret if callback_url else None


def find_subscription(subscription_id: uuid.UUID) -> Subscription:
    """Return the subscription; raises SubscriptionNotFound."""
    rows = Subscription.objects.select_related("service").filter(pk=subscription_id)
    subscription = next(iter(rows), None)
    if subscription is None:
        raise errors.SubscriptionNotFound(f"Subscription '{subscription_id}' does not exist.")
    return subscription


def cancel_subscription(
    subscription_id: uuid.UUID, *, by: Caller | None, now: dt.datetime
) -> Subscription:
    """End a subscription; one that has ended stays so. Raises SubscriptionOwned."""
    subscription = find_subscription(subscription_id)
    _check_may_cancel(subscription, by)
    _move(subscription_id, to=State.CANCELLED, now=now)
    return find_subscription(subscription_id)


def move_subscription(subscription_id: uuid.UUID, *, to: str, now: dt.datetime) -> Subscription:
    """Bring a subscription into another state; raises IllegalSubscriptionMove where that is not legal."""
    has_moved = _move(subscription_id, to=to, now=now)
    subscription = find_subscription(subscription_id)
    if not has_moved:
        raise errors.IllegalSubscriptionMove(
            f"The subscription is {subscription.state}; it cannot become {to}."
        )
    return subscription


def _move(subscription_id: uuid.UUID, *, to: str, now: dt.datetime) -> bool:
    rows = Subscription.objects.filter(pk=subscription_id)
    return bool(transitions.movable(rows, to).update(state=to, updated_at=now))


def _check_may_cancel(subscription: Subscription, by: Caller | None) -> None:
    if subscription.account_id is None or (by is not None and by.is_admin):
        return
    if by is None or by.account.pk != subscription.account_id:
        raise errors.SubscriptionOwned("The subscription belongs to another account.")
