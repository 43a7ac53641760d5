"""Bounds on how fast one caller may call: generous, in memory, for each web process by itself.

A bucket is one number, the moment at which it would be full again (GCRA), so a request costs next to
nothing and Redis need not be there.
"""

from __future__ import annotations

import math
import time

from django.conf import settings

from saga_project.shared.errors import SagaError

BURST_SECONDS = 10
GUESSES_PER_SECOND = 10
GUESSES_BURST = 200
MAX_CALLERS = 50_000
#: Sums of moments are rounded: a call that comes just in time is not refused for that.
ROUNDING_SECONDS = 1e-6


class TooManyRequests(SagaError):
    error = "Too many requests"
    status = 429


class Bucket:
    """One caller's: ``full_at`` is when it would be full again."""

    __slots__ = ("_capacity", "_interval", "full_at")

    def __init__(self, *, interval: float, capacity: float) -> None:
        self._interval = interval
        self._capacity = capacity
        self.full_at = 0.0

    def take(self, now: float) -> float:
        """Count one call; return for how many seconds its caller must wait, and count nothing then."""
        full_at = self.full_at
        if full_at < now:
            full_at = now
        full_at += self._interval
        wait = full_at - now - self._capacity
        if wait > 0:
            return wait
        self.full_at = full_at
        return 0.0


class Buckets:
    """Token buckets that count each caller's recent calls."""

    def __init__(self, *, per_second: float, burst: float) -> None:
        self._interval = 1 / per_second
        self._capacity = burst / per_second + ROUNDING_SECONDS
        self._buckets: dict[str, Bucket] = {}
        self._latest = 0.0

    def of(self, key: str, *, now: float) -> Bucket:
        """Return the bucket of one caller, which may be kept for a moment."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MAX_CALLERS:
                self._forget(now)
            bucket = Bucket(interval=self._interval, capacity=self._capacity)
            bucket = self._buckets.setdefault(key, bucket)
        return bucket

    def wait_seconds(self, key: str, *, now: float) -> float:
        """Return how long ``key`` must wait before its next call, 0 if it need not."""
        bucket = self._buckets.get(key)
        full_at = bucket.full_at if bucket is not None else 0.0
        return max(0.0, full_at + self._interval - now - self._capacity)

    def take(self, key: str, *, now: float) -> float:
        """Count one call; return how long its caller must wait, and count nothing then."""
        bucket = self.of(key, now=now)
        wait = bucket.take(now)
        if bucket.full_at > self._latest:
            self._latest = bucket.full_at
        return wait

    def must_anyone_wait(self, *, now: float) -> bool:
        """Return whether any caller counted by ``take`` must wait."""
        return self._latest + self._interval - now - self._capacity > 0

    def _forget(self, now: float) -> None:
        """Drop buckets without recent calls, then the tenth with the least to wait for."""
        known = [pair for pair in list(self._buckets.items()) if pair[1].full_at > now]
        known.sort(key=lambda pair: pair[1].full_at)
        self._buckets = dict(known[-(MAX_CALLERS - MAX_CALLERS // 10) :])


_calls = Buckets(
    per_second=settings.SAGA_RATE_LIMIT, burst=settings.SAGA_RATE_LIMIT * BURST_SECONDS
)
_guesses = Buckets(per_second=GUESSES_PER_SECOND, burst=GUESSES_BURST)


def check(address: str, *, caller_key: str | None) -> None:
    """Count one call of a caller, or of an address without one; raises TooManyRequests. Off in open mode."""
    if settings.SAGA_AUTH != "open":
        key = caller_key if caller_key is not None else f"address {address}"
        _refuse_for(_calls.take(key, now=time.monotonic()))


def bucket_of(caller_key: str) -> Bucket:
    """Return the bucket in which ``check`` counts this caller, for many calls at once."""
    return _calls.of(caller_key, now=time.monotonic())


def check_guesses(address: str) -> None:
    """Raise TooManyRequests where ``address`` has sent too many tokens that were none."""
    if settings.SAGA_AUTH == "open":
        return
    _refuse_for(_guesses.wait_seconds(address, now=time.monotonic()))


def is_anyone_barred() -> bool:
    """Return whether any address is barred from presenting tokens now."""
    return _guesses.must_anyone_wait(now=time.monotonic())


def note_guess(address: str) -> None:
    _guesses.take(address, now=time.monotonic())


def _refuse_for(wait_seconds: float) -> None:
    if wait_seconds > 0:
        raise TooManyRequests(
            "This caller sends requests faster than it may; wait before the next one.",
            retry_after_seconds=math.ceil(wait_seconds),
        )
