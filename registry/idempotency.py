"""Answers under an ``Idempotency-Key``, written in the transaction of the effect that they report.

``transaction()`` opens the transaction around a whole request. A view that calls other servers cannot
hold a transaction open meanwhile: it runs inside ``pending()``, and its operation calls ``keep()`` in
the transaction of the effect.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import OperationalError
from django.db import transaction as django_transaction
from django.db.models import QuerySet
from psycopg import errors as psycopg_errors

from registry import errors
from registry.models import IdempotencyKey
from saga_project.shared import crypto

KEPT = dt.timedelta(hours=24)
#: The previous release wrote rows without an answer; one of a process that died is free after a minute.
UNANSWERED_LASTS = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Use:
    """One use of a key: by which account, on which route, with which body."""

    account: str
    route: str
    key: str
    request_digest: str


class _EffectTransaction(django_transaction.Atomic):
    """An operation's durable block may stand inside it: both are committed together.

    Django allows that inside the transactions of its own test cases, and only by this attribute.
    """

    def __init__(self) -> None:
        super().__init__(using=None, savepoint=True, durable=True)
        self._from_testcase = True


def transaction() -> contextlib.AbstractContextManager[None]:
    """Open the transaction that holds the key, the effect and the answer."""
    return _EffectTransaction()


def acquire(use: Use, *, now: dt.datetime) -> IdempotencyKey | None:
    """Insert the row of this use into the open transaction; return the earlier row where there is one.

    Waits for a request with the same key that is not over yet, at most for PostgreSQL's ``lock_timeout``.
    Raises IdempotencyKeyUsed where the key came with another body, IdempotencyKeyRunning after that wait.
    """
    _forget_old(use, now=now)
    row = IdempotencyKey(
        account=use.account,
        route=use.route,
        key=use.key,
        request_digest=use.request_digest,
        created_at=now,
    )
    _insert(row)
    earlier = IdempotencyKey.objects.get(account=use.account, route=use.route, key=use.key)
    _check_body(use, earlier)
    return None if earlier.status is None and earlier.created_at == now else earlier


def _insert(row: IdempotencyKey) -> None:
    try:
        IdempotencyKey.objects.bulk_create([row], ignore_conflicts=True)
    except OperationalError as exc:
        if isinstance(exc.__cause__, psycopg_errors.LockNotAvailable):
            raise errors.IdempotencyKeyRunning(
                "The first request with this Idempotency-Key is still being processed.",
                retry_after_seconds=1,
            ) from exc
        raise


def settle(use: Use, *, status: int, content: bytes) -> None:
    """Keep a 2xx answer, sealed because it may show a secret once; free the key for any other answer."""
    rows = _rows(use)
    if 200 <= status < 300:
        rows.update(status=status, body=crypto.encrypt(content.decode()))
    else:
        rows.delete()


def find(use: Use, *, now: dt.datetime) -> IdempotencyKey | None:
    """Return the answered row of an earlier request with this key."""
    row = _rows(use).filter(status__isnull=False, created_at__gte=now - KEPT).first()
    if row is not None:
        _check_body(use, row)
    return row


def purge(*, now: dt.datetime) -> int:
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=now - KEPT).delete()
    return deleted


def _rows(use: Use) -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(account=use.account, route=use.route, key=use.key)


def _check_body(use: Use, earlier: IdempotencyKey) -> None:
    if earlier.request_digest != use.request_digest:
        raise errors.IdempotencyKeyUsed(
            "This Idempotency-Key came with another body before; use a new one."
        )


def _forget_old(use: Use, *, now: dt.datetime) -> None:
    rows = _rows(use)
    rows.filter(created_at__lt=now - KEPT).delete()
    rows.filter(status__isnull=True, created_at__lt=now - UNANSWERED_LASTS).delete()


# --- Views that call other servers ----------------------------------------------------------------


@dataclass
class _Pending:
    use: Use
    now: dt.datetime
    is_kept: bool = False


_pending: contextvars.ContextVar[_Pending | None] = contextvars.ContextVar("pending", default=None)


@contextlib.contextmanager
def pending(use: Use, *, now: dt.datetime) -> Iterator[None]:
    """Record for ``keep()`` under which key the request runs."""
    token = _pending.set(_Pending(use, now))
    try:
        yield
    finally:
        _pending.reset(token)


def keep(*, status: int, content: bytes) -> None:
    """Write the answer under the key of this request, in the open transaction; again to replace it.

    Does nothing where the request carries no key. Raises IdempotencyKeyAnswered where a request with
    the same key was first: its answer counts, and this transaction must be rolled back.
    """
    request = _pending.get()
    if request is None:
        return
    if not request.is_kept:
        if acquire(request.use, now=request.now) is not None:
            raise errors.IdempotencyKeyAnswered
        request.is_kept = True
    settle(request.use, status=status, content=content)
