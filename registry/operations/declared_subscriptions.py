"""Subscriptions that a file describes."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from registry import errors
from registry.identity.accounts import Caller
from registry.models import Service, ServiceAccount, Subscription
from registry.operations import subscriptions
from saga_project.shared import crypto

State = Subscription.State


@dataclass(frozen=True, kw_only=True)
class DeclaredSubscription:
    """What a file says of a subscription; ``service_glob`` in place of a service.

    Without an ``id`` it is the one of its subscriber to that service. Without a ``secret`` the stored one is
    kept, and one is made where a callback has none.
    """

    service: Service | None
    service_glob: str
    subscriber: str
    callback_url: str
    topics: list[str]
    state: str
    is_accepted: bool
    account: ServiceAccount | None
    id: uuid.UUID | None = None
    secret: str | None = None


def find(wanted: DeclaredSubscription) -> Subscription | None:
    """Return the locked row. Raises SubscriptionEnded, SubscriptionDiffers, SubscriptionAmbiguous."""
    rows = Subscription.objects.select_related("service", "account")
    rows = rows.select_for_update(of=("self",), no_key=True)
    if wanted.id is not None:
        row = rows.filter(pk=wanted.id).first()
        if row is not None:
            _check_same(row, wanted)
        return row
    named = rows.filter(
        service=wanted.service, service_glob=wanted.service_glob, subscriber=wanted.subscriber
    ).exclude(state=State.CANCELLED)
    found = list(named[:2])
    if len(found) > 1:
        raise errors.SubscriptionAmbiguous(
            f"Subscriber '{wanted.subscriber}' has several subscriptions to"
            f" '{found[0].service_name}': give the 'id' of one, as an export shows it.",
            field="id",
        )
    return found[0] if found else None


def _check_same(row: Subscription, wanted: DeclaredSubscription) -> None:
    if row.state == State.CANCELLED:
        raise errors.SubscriptionEnded(
            f"Subscription '{row.pk}' was cancelled for good: leave 'id' out to make another."
        )
    known = (row.service_id, row.service_glob, row.subscriber)
    if known != (wanted.service and wanted.service.pk, wanted.service_glob, wanted.subscriber):
        raise errors.SubscriptionDiffers(
            f"Subscription '{row.pk}' is that of '{row.subscriber}' to '{row.service_name}', which are"
            " set once: leave 'id' out to make another.",
            field="id",
        )


def write(
    row: Subscription | None, wanted: DeclaredSubscription, *, by: Caller, now: dt.datetime
) -> tuple[Subscription, bool]:
    """Return the saved subscription, and whether it differs from what was stored.

    Raises NothingToAccept, IllegalSubscriptionMove.
    """
    if wanted.is_accepted and wanted.service is None:
        raise errors.NothingToAccept(
            "A subscription to a pattern keeps no service registered.", field="accepted"
        )
    if row is None:
        return _add(wanted, by=by, now=now), True
    if _is_same(row, wanted):
        return row, False
    before = subscriptions.described(row)
    if not _has_begun(row, wanted.state):
        subscriptions.move_to(row.pk, to=wanted.state, now=now)
        row.refresh_from_db(fields=["state"])
    _set(row, wanted)
    row.updated_at = now
    row.save(update_fields=[*_COLUMNS, "updated_at"])
    subscriptions.record("changed", row, before=before, by=by, now=now)
    return row, True


_COLUMNS = ("callback_url", "topics", "is_accepted", "account", "sealed_secret")


def _add(wanted: DeclaredSubscription, *, by: Caller, now: dt.datetime) -> Subscription:
    if wanted.service is not None:
        # No deregistration passes that did not count this subscription.
        Service.objects.select_for_update(no_key=True).get(pk=wanted.service.pk)
    row = Subscription(
        id=wanted.id or uuid.uuid4(),
        service=wanted.service,
        service_glob=wanted.service_glob,
        subscriber=wanted.subscriber,
        state=wanted.state,
    )
    _set(row, wanted)
    row.save(force_insert=True)
    subscriptions.record("added", row, by=by, now=now)
    return row


def _set(row: Subscription, wanted: DeclaredSubscription) -> None:
    row.callback_url, row.topics = wanted.callback_url, wanted.topics
    row.is_accepted, row.account = wanted.is_accepted, wanted.account
    if wanted.secret is not None and wanted.secret != _secret_of(row):
        row.sealed_secret = crypto.encrypt(wanted.secret) if wanted.secret else ""
    if row.callback_url and not row.sealed_secret:
        row.sealed_secret = crypto.encrypt(subscriptions.new_secret())


def _is_same(row: Subscription, wanted: DeclaredSubscription) -> bool:
    return (
        _has_begun(row, wanted.state)
        and row.callback_url == wanted.callback_url
        and row.topics == wanted.topics
        and row.is_accepted == wanted.is_accepted
        and row.account_id == (wanted.account and wanted.account.pk)
        and (wanted.secret is None or wanted.secret == _secret_of(row))
    )


def _has_begun(row: Subscription, state: str) -> bool:
    """Whether the row is in the state; one that a file makes pending may have left that since."""
    return state in (row.state, State.PENDING)


def _secret_of(row: Subscription) -> str:
    return crypto.decrypt(row.sealed_secret) if row.sealed_secret else ""
