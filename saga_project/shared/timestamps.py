"""Times, as Redis counts them (µs since 1970) and as the registry prints them."""

from __future__ import annotations

import datetime as dt
import functools

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def at(microseconds: int) -> dt.datetime:
    """Return µs since 1970 as an exact UTC time."""
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def microseconds(at: dt.datetime) -> int:
    return (at - _EPOCH) // dt.timedelta(microseconds=1)


def iso(at: dt.datetime) -> str:
    """Microseconds and ``+00:00``, as the registry prints its times."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds")


def iso_of(microseconds: int) -> str:
    """The same of µs since 1970."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{iso_second(seconds).decode()}.{rest:06d}+00:00"


@functools.lru_cache(maxsize=4096)
def iso_second(seconds: int) -> bytes:
    """Return the ISO time up to the second, cached: thousands of heartbeats share it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:19].encode("ascii")
