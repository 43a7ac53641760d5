"""Subscriptions: the programs that depend on a service and get its events."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from registry import errors, names
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service, Subscription, SubscriptionQuerySet
from registry.operations.configured import actor_of
from saga_project.shared import auditing, crypto, http_client, transitions

SECRET_MARK = "whsec_"  # noqa: S105  (where every Standard Webhooks secret begins)
SECRET_BYTES = 32
EVERY_TOPIC = "*"
READ_SCOPE = "services:read"

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

    The secret is shown this once. A ``service_name`` with ``*`` is a glob, for callers that may read
    services. Raises ServiceNotFound where the service is not registered, ScopeMissing.
    """
    secret = new_secret()
    is_glob = names.is_glob(service_name)
    if is_glob and by is not None and not by.has_scope(READ_SCOPE):
        raise errors.ScopeMissing(f"A subscription to '{service_name}' needs '{READ_SCOPE}'.")
    with transaction.atomic(durable=True):
        subscription = Subscription.objects.create(
            service=None if is_glob else _registered(service_name),
            service_glob=service_name if is_glob else "",
            subscriber=subscriber,
            callback_url=callback_url,
            topics=topics or [EVERY_TOPIC],
            state=state,
            sealed_secret=crypto.encrypt(secret) if callback_url else "",
            account=by.account if by is not None and by.account.pk else None,
        )
        record("added", subscription, by=by, now=subscription.created_at)
    return subscription, secret if callback_url else None


def _registered(name: str) -> Service:
    """Return the locked service: no deregistration passes that did not count this subscription."""
    services = Service.objects.registered().select_for_update(no_key=True).filter(name=name)
    service = next(iter(services), None)
    if service is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return service


def visible_subscriptions(by: Caller | None) -> SubscriptionQuerySet:
    """Return the subscriptions that a caller may see: those that it owns on either side."""
    rows = Subscription.objects.select_related("service")
    if by is not None and not by.is_bound_by_ownership:
        return rows
    return rows.visible_to(account_id=by.account.pk if by is not None else None)


def find_subscription(subscription_id: uuid.UUID, *, by: Caller | None) -> Subscription:
    """Return the subscription; raises SubscriptionNotFound, also where the caller may not see it."""
    subscription = visible_subscriptions(by).filter(pk=subscription_id).first()
    if subscription is None:
        raise errors.SubscriptionNotFound(f"Subscription '{subscription_id}' does not exist.")
    return subscription


def cancel_subscription(
    subscription_id: uuid.UUID, *, by: Caller | None, now: dt.datetime
) -> Subscription:
    """End a subscription; one that has ended stays so. Raises SubscriptionOwned."""
    subscription = _get(subscription_id)
    if not is_subscriber(subscription, by):
        raise errors.SubscriptionOwned("The subscription belongs to another account.")
    before = described(subscription)
    with transaction.atomic():
        has_moved = _move(subscription_id, to=State.CANCELLED, now=now)
        subscription = _get(subscription_id)
        if has_moved:
            record("changed", subscription, before=before, by=by, now=now)
    return subscription


def _get(subscription_id: uuid.UUID) -> Subscription:
    rows = Subscription.objects.select_related("service").filter(pk=subscription_id)
    subscription = rows.first()
    if subscription is None:
        raise errors.SubscriptionNotFound(f"Subscription '{subscription_id}' does not exist.")
    return subscription


def move_subscription(
    subscription_id: uuid.UUID, *, to: str, by: Caller | None, now: dt.datetime
) -> Subscription:
    """Bring a subscription into another state; raises IllegalSubscriptionMove where that is not legal."""
    with transaction.atomic():
        before = described(_get(subscription_id))
        move_to(subscription_id, to=to, now=now)
        subscription = _get(subscription_id)
        record("changed", subscription, before=before, by=by, now=now)
    return subscription


def move_to(subscription_id: uuid.UUID, *, to: str, now: dt.datetime) -> None:
    has_moved = _move(subscription_id, to=to, now=now)
    subscription = _get(subscription_id)
    if not has_moved and subscription.state != to:
        raise errors.IllegalSubscriptionMove(
            f"The subscription is {subscription.state}; it cannot become {to}."
        )


def _move(subscription_id: uuid.UUID, *, to: str, now: dt.datetime) -> bool:
    rows = Subscription.objects.filter(pk=subscription_id)
    return bool(transitions.move_rows(rows, to, updated_at=now))


def is_subscriber(subscription: Subscription, by: Caller | None) -> bool:
    """Whether the caller may change what the subscription asks for."""
    if subscription.account_id is None or (by is not None and by.is_admin):
        return True
    return by is not None and by.account.pk == subscription.account_id


@dataclass(frozen=True, kw_only=True)
class SubscriptionChange:
    """What is changed; None leaves a field as it is.

    The service's owner accepts, the subscriber sets the rest.
    """

    is_accepted: bool | None = None
    state: str | None = None
    callback_url: str | None = None
    topics: list[str] | None = None


def change_subscription(
    subscription_id: uuid.UUID, change: SubscriptionChange, *, by: Caller | None, now: dt.datetime
) -> tuple[Subscription, str | None]:
    """Return the changed subscription, and its secret where a first callback needs one.

    Raises SubscriptionNotFound, SubscriptionOwned, ServiceOwned, IllegalSubscriptionMove.
    """
    secret = None
    with transaction.atomic(durable=True):
        found = find_subscription(subscription_id, by=by)
        _check_may_change(found, change, by)
        before = described(found)
        if change.state is not None:
            move_to(subscription_id, to=change.state, now=now)
        row = Subscription.objects.select_for_update().get(pk=subscription_id)
        if change.is_accepted is not None:
            row.is_accepted = change.is_accepted
        if change.topics is not None:
            row.topics = change.topics or [EVERY_TOPIC]
        if change.callback_url is not None:
            row.callback_url = change.callback_url
            if change.callback_url and not row.sealed_secret:
                secret = new_secret()
                row.sealed_secret = crypto.encrypt(secret)
        row.save(
            update_fields=["is_accepted", "topics", "callback_url", "sealed_secret", "updated_at"]
        )
        subscription = _get(subscription_id)
        record("changed", subscription, before=before, by=by, now=now)
    return subscription, secret


def described(subscription: Subscription) -> dict[str, Any]:
    """Return what the audit trail shows of a subscription; a callback's path may be a credential."""
    url = subscription.callback_url
    return {
        "subscriber": subscription.subscriber,
        "state": subscription.state,
        "accepted": subscription.is_accepted,
        "topics": subscription.topics,
        "callback": http_client.masked(url) if url else "",
        "account": subscription.account_id,
        "secret": auditing.masked(subscription.sealed_secret),
    }


def record(
    verb: str,
    subscription: Subscription,
    *,
    by: Caller | None,
    now: dt.datetime,
    before: dict[str, Any] | None = None,
) -> None:
    """Record what became of a subscription, with what it was where it was there before."""
    after = described(subscription)
    changed = set() if before is None else {name for name in after if after[name] != before[name]}
    differences = {
        "before": {name: before[name] for name in sorted(changed)} if before else {},
        "after": {name: after[name] for name in sorted(changed)},
    }
    auditing.record(
        f"subscription.{verb}",
        actor=actor_of(by),
        service_name=subscription.service_name,
        data={"id": subscription.pk, **after, **(differences if changed else {})},
        at=now,
    )


def _check_may_change(
    subscription: Subscription, change: SubscriptionChange, by: Caller | None
) -> None:
    service = subscription.service
    if change.is_accepted is not None:
        if service is None:
            raise errors.NothingToAccept(
                "A subscription to a pattern keeps no service registered.", field="accepted"
            )
        accounts.check_may_change(by, service.name, owner_id=service.account_id)
    is_subscribers = change != SubscriptionChange(is_accepted=change.is_accepted)
    if is_subscribers and not is_subscriber(subscription, by):
        raise errors.SubscriptionOwned("The subscription belongs to another account.")


def new_secret() -> str:
    return SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")
