"""Bounds on how fast one caller may call: generous, in memory, for each web process by itself.

A bucket is one number, the moment at which it would be empty again (GCRA), so a request costs a
dictionary's look-up and Redis need not be there.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from registry import accounts
from saga_project.errors import SagaError

if TYPE_CHECKING:  # DRF imports this module before its views exist
    from rest_framework.views import APIView

BURST_SECONDS = 10
GUESSES_PER_SECOND = 10
GUESSES_BURST = 200
MAX_CALLERS = 50_000


class TooManyRequests(SagaError):
    error = "Too many requests"
    status = 429


class Buckets:
    """Who has called how much, lately."""

    def __init__(self, *, per_second: float, burst: float) -> None:
        self._interval = 1 / per_second
        self._capacity = burst / per_second
        self._full_at: dict[str, float] = {}
        self._latest = 0.0

    def wait_seconds(self, key: str, *, now: float) -> float:
        """Return how long ``key`` must wait before its next call, 0 if it need not."""
        return max(0.0, self._full_at.get(key, 0.0) + self._interval - now - self._capacity)

    def take(self, key: str, *, now: float) -> float:
        """Count one call; return how long its caller must wait, and count nothing then."""
        full_at = self._full_at.pop(key, 0.0)
        wait = full_at + self._interval - now - self._capacity
        if wait > 0:
            self._full_at[key] = full_at
            return wait
        full_at = max(full_at, now) + self._interval
        self._full_at[key] = full_at
        if full_at > self._latest:
            self._latest = full_at
        if len(self._full_at) > MAX_CALLERS:
            self._forget(now)
        return 0.0

    def must_anyone_wait(self, *, now: float) -> bool:
        return self._latest + self._interval - now - self._capacity > 0

    def _forget(self, now: float) -> None:
        self._full_at = {key: moment for key, moment in self._full_at.items() if moment > now}
        while len(self._full_at) > MAX_CALLERS:
            self._full_at.pop(next(iter(self._full_at)), None)


_calls = Buckets(
    per_second=settings.SAGA_RATE_LIMIT, burst=settings.SAGA_RATE_LIMIT * BURST_SECONDS
)
_guesses = Buckets(per_second=GUESSES_PER_SECOND, burst=GUESSES_BURST)


class CallerThrottle(BaseThrottle):
    """``SAGA_RATE_LIMIT`` calls a second for each token, and for each address without one."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        check(request.META.get("REMOTE_ADDR", ""), accounts.caller_of(request.user))
        return True


def check(address: str, caller: accounts.Caller | None) -> None:
    """Count one call; raises TooManyRequests. Off in open mode."""
    if settings.SAGA_AUTH != "open":
        _refuse_for(take(caller.key if caller is not None else f"address {address}"))


def take(key: str) -> float:
    """Count one call; return for how many seconds its caller must wait, and count nothing then."""
    return _calls.take(key, now=time.monotonic())


def check_guesses(address: str) -> None:
    """Raise TooManyRequests where ``address`` has sent too many tokens that were none."""
    if settings.SAGA_AUTH == "open":
        return
    _refuse_for(_guesses.wait_seconds(address, now=time.monotonic()))


def is_anyone_barred() -> bool:
    """Whether there is an address from which no token is heard for now."""
    return _guesses.must_anyone_wait(now=time.monotonic())


def note_guess(address: str) -> None:
    _guesses.take(address, now=time.monotonic())


def _refuse_for(wait_seconds: float) -> None:
    if wait_seconds > 0:
        raise TooManyRequests(
            "This caller sends requests faster than it may; wait before the next one.",
            retry_after_seconds=math.ceil(wait_seconds),
        )
