"""Find instances of other services: a cache that follows Saga's events and outlives its outages."""

from __future__ import annotations

import itertools
import logging
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from saga_client import errors, forks, models, versions
from saga_client.models import Instance
from saga_client.transport import Transport, segment

logger = logging.getLogger("saga_client")

WAIT_SECONDS = 25
RECHECK_SECONDS = (
    300  # the events say what changes; this bounds how long one that is missing matters
)
MAX_PAUSE_SECONDS = 15.0
#: The events that may change which instances there are, or which of them should be called.
TYPES = {"type": ["service.*", "health.changed", "deployment.*"]}
MAX_SLOTS = 1000

_Key = tuple[str, "str | None", "str | None"]
_AWAY = (errors.Unreachable, errors.Unavailable, errors.TooManyRequests)


def fetch(transport: Transport, name: str) -> list[Instance]:
    """Return the live instances of a service; none where Saga does not know it."""
    try:
        answer = transport.call("GET", f"/services/{segment(name)}/instances")
    except errors.NotFound:
        return []
    return [models.instance_of(name, document) for document in answer["instances"]]


def follow(
    transport: Transport, *, after: str | None, wait: float, filters: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield events without end; a cursor that is too old continues with the next event."""
    cursor, pause = after, 0.5
    while True:
        try:
            if cursor is None:
                cursor = newest_cursor(transport)
            page = poll(transport, cursor, wait=wait, filters=filters)
        except _AWAY:
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            continue
        except errors.InvalidRequest as exc:
            if exc.status != 410:
                raise
            cursor = None
            continue
        pause, cursor = 0.5, page["cursor"]
        yield from page["events"]


def newest_cursor(transport: Transport) -> str:
    """Return the cursor after the last event."""
    return str(transport.call("GET", "/events", query={"limit": 1})["cursor"])


def poll(
    transport: Transport, cursor: str, *, wait: float, filters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the page of events after ``cursor``, empty after ``wait`` seconds."""
    query = {**filters, "after": cursor, "wait": wait}
    return dict(transport.call("GET", "/events", query=query, timeout=wait + transport.timeout))


class Discovery:
    """The instances that were asked for, kept current by one thread of this process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[str, list[Instance]] = {}
        self._picks: dict[_Key, Iterator[Instance]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._follower: threading.Thread | None = None
        self._cursor: str | None = None
        forks.remember(self)

    def discover(self, name: str, version: str | None = None, zone: str | None = None) -> Instance:
        """Return an instance, by weight, out of memory after the first call for this name.

        Passing instances are preferred, then those in ``zone``; ``version`` is a range such as ``>=1.4,<2``.
        While Saga is away, answers come from what was known last. Raises NoInstance where none fits, and
        Unreachable or Unavailable where Saga is away and the name was never asked for.
        """
        try:
            return next(self._picks[name, version, zone])
        except (KeyError, StopIteration):
            return self._look_up(name, version, zone)

    def is_known(self, name: str) -> bool:
        """Return whether the name was found before."""
        return name in self._known

    def close(self) -> None:
        """Stop following; what is cached stays as it is."""
        self._closed.set()

    def after_fork(self) -> None:
        """Follow again, in the child: threads do not survive a fork."""
        self._lock = threading.Lock()
        is_followed = self._follower is not None and not self._closed.is_set()
        self._closed, self._follower = threading.Event(), None
        if is_followed:
            self._start()

    def _look_up(self, name: str, version: str | None, zone: str | None) -> Instance:
        with self._lock:
            if name not in self._known:
                if self._cursor is None:  # before the instances, so that no change falls between
                    self._cursor = newest_cursor(self._transport)
                found = fetch(self._transport, name)
                if not found:
                    raise errors.NoInstance(f"Saga knows no live instance of '{name}'.")
                self._known[name] = found
            if self._follower is None and not self._closed.is_set():
                self._start()
            fitting = slots(self._known[name], version=version, zone=zone)
            if not fitting:
                wanted = f" with version {version}" if version else ""
                raise errors.NoInstance(f"Saga knows no live instance of '{name}'{wanted}.")
            picks = self._picks[name, version, zone] = itertools.cycle(fitting)
            return next(picks)

    def _start(self) -> None:
        self._follower = threading.Thread(
            target=self._follow, args=(self._closed,), name="saga-discovery", daemon=True
        )
        self._follower.start()

    def _follow(self, closed: threading.Event) -> None:
        pause, checked_at = 0.5, time.monotonic()
        while not closed.is_set():
            try:
                if time.monotonic() - checked_at > RECHECK_SECONDS:
                    self._refresh(set(self._known))
                    checked_at = time.monotonic()
                self._wait_for_changes()
                pause = 0.5
            except Exception as exc:  # noqa: BLE001 (the cache must survive whatever Saga answers)
                logger.warning("Saga discovery serves what it knew last: %s", exc)
                closed.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _wait_for_changes(self) -> None:
        if self._cursor is None:
            cursor = newest_cursor(self._transport)
            self._refresh(set(self._known))
            self._cursor = cursor
        try:
            page = poll(self._transport, self._cursor, wait=WAIT_SECONDS, filters=TYPES)
        except errors.InvalidRequest as exc:
            if exc.status != 410:
                raise
            self._cursor = None  # too old: read everything again
            return
        self._refresh({event["service_name"] for event in page["events"]} & set(self._known))
        self._cursor = page["cursor"]

    def _refresh(self, names: set[str]) -> None:
        for name in sorted(names):
            found = fetch(self._transport, name)
            with self._lock:
                self._known[name] = found
                for key in [key for key in self._picks if key[0] == name]:
                    fitting = slots(found, version=key[1], zone=key[2])
                    self._picks[key] = itertools.cycle(fitting)


def slots(found: list[Instance], *, version: str | None, zone: str | None) -> list[Instance]:
    """Return the instances that fit, each as often as its weight, in an order that mixes them."""
    fitting = [
        each
        for each in found
        if version is None or (each.version and versions.matches(each.version, version))
    ]
    fitting = [each for each in fitting if each.health == "passing"] or fitting
    fitting = [each for each in fitting if each.weight > 0] or fitting
    fitting = [each for each in fitting if zone is None or each.zone == zone] or fitting
    shares = _shares([max(each.weight, 1) for each in fitting])
    repeated = [each for each, share in zip(fitting, shares) for _ in range(share)]
    random.shuffle(repeated)
    return repeated


def _shares(weights: list[int]) -> list[int]:
    """Return small whole numbers in the proportion of the weights."""
    if not weights:
        return []
    divisor = math.gcd(*weights) if len(weights) > 1 else weights[0]
    reduced = [weight // divisor for weight in weights]
    total = sum(reduced)
    if total <= MAX_SLOTS:
        return reduced
    return [max(1, round(MAX_SLOTS * weight / total)) for weight in reduced]
