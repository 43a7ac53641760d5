"""When tokens were last used, to the minute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Q
from django.utils import timezone

from registry.models import Token

LAST_USE_PRECISION = dt.timedelta(minutes=1)


def note(token: Token | None, *, now: dt.datetime) -> None:
    """Write ``last_used_at``, at most once a minute."""
    if token is None or (token.last_used_at and now - token.last_used_at < LAST_USE_PRECISION):
        return
    _write([token.pk], now=now)


def note_all(tokens: Iterable[Token | None]) -> None:
    """The same for many that were admitted without PostgreSQL."""
    _write([token.pk for token in tokens if token is not None], now=timezone.now())


def _write(keys: Iterable[int], *, now: dt.datetime) -> None:
    due = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - LAST_USE_PRECISION)
    Token.objects.filter(due, pk__in=keys).update(last_used_at=now)
