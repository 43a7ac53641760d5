"""The replica that this process holds, and for how long it may be served."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from dataclasses import dataclass, field

from registry.directory.entries import ServiceEntry

LEASE_SECONDS = 0.8
CLOCK_STEP_US = 1_000_000


@dataclass
class State:
    """``sequence`` is the last change in it; ``lease_until`` and ``known_at`` are on the monotonic clock.

    ``names`` are sorted, and those that were there when ``membership`` was the number beside them.
    """

    services: dict[str, ServiceEntry] = field(default_factory=dict)
    membership: int = 0
    names: tuple[int, list[str]] = (0, [])
    sequence: int = 0
    filled_us: int = 0
    floor_us: int = 0
    clock_offset_us: int = field(
        default_factory=lambda: (time.time_ns() - time.monotonic_ns()) // 1000
    )
    lease_until: float = 0.0
    known_at: float = 0.0
    version: int = 0
    last_refresh_at: dt.datetime | None = None


state = State()
_moved = threading.Condition()
#: The sequence numbers that threads wait for; most changes have no waiting thread.
_awaited: list[int] = []
#: Several threads count: two that add one to the same number would count one change.
_versions = itertools.count(1)


def is_whole() -> bool:
    """Whether this process may serve from memory now."""
    return time.monotonic() < state.lease_until


def version() -> int:
    """Return a number that is another one after every change of anything."""
    return state.version


def peek(name: str) -> ServiceEntry | None:
    """Return the service's entry, live or not; call ``is_whole`` first."""
    return state.services.get(name)


def peek_all() -> list[ServiceEntry]:
    """Return all entries, sorted by name; call ``is_whole`` first."""
    membership = state.membership  # first: names that are newer than it are only sorted once more
    services = state.services
    known, names = state.names
    if known != membership:
        names = sorted(services)
        state.names = membership, names
    return [services[name] for name in names if name in services]


def size() -> int:
    return len(state.services)


def now_us() -> int:
    """Return the time in µs on Redis' clock, as far as this process knows it."""
    return time.monotonic_ns() // 1000 + state.clock_offset_us


def set_clock(redis_now_us: int) -> int:
    """Take over the time on Redis' clock; return by how many µs memory's was wrong.

    The monotonic clock counts between two ticks: one that is set on this host must expire nothing.
    """
    wrong_us = abs(redis_now_us - now_us())
    if wrong_us > CLOCK_STEP_US:
        end_lease()
    state.clock_offset_us = redis_now_us - time.monotonic_ns() // 1000
    return wrong_us


def wait_for(sequence: int, *, timeout_seconds: float = 0.1) -> None:
    """Return when this process serves the change with that number, or does not serve from memory.

    Only for threads: the event loop applies the changes itself.
    """
    if state.sequence >= sequence or not is_whole():
        return
    with _moved:
        _awaited.append(sequence)  # first, then a look: ``note_change`` does it in the other order
        try:
            _moved.wait_for(
                lambda: state.sequence >= sequence or not is_whole(), timeout=timeout_seconds
            )
        finally:
            _awaited.remove(sequence)


def note_channel() -> None:
    """Record a message of the change channel: memory counts as whole for a lease from now."""
    state.known_at = time.monotonic()
    state.lease_until = state.known_at + LEASE_SECONDS


def end_lease() -> None:
    state.lease_until = 0.0


def note_membership() -> None:
    """Record that a service was added or removed; called afterwards."""
    state.membership += 1


def note_version() -> None:
    """Record a change; called afterwards."""
    state.version = next(_versions)


def note_change(sequence: int) -> None:
    """Record that a change from the channel was applied, and wake its waiting threads."""
    note_version()  # first: a reader of the sequence number must not see an older list
    state.last_refresh_at = dt.datetime.now(dt.UTC)
    state.sequence = sequence
    if _awaited and sequence >= min(_awaited.copy(), default=sequence + 1):
        with _moved:
            _moved.notify_all()
