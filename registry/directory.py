"""The in-process read cache: a replica of presence, so that lookups need no round trip.

A process that calls ``start()`` follows Redis' change channel: it subscribes, takes a snapshot, and applies
each change in the order of its sequence number. A gap, or a channel that stays silent for longer than
``LEASE_SECONDS``, ends serving from memory until it is whole again. Elsewhere (workers, commands), and while
it is not whole, reads go to Redis.
"""

from __future__ import annotations

import bisect
import collections
import datetime as dt
import itertools
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connections
from redis import exceptions as redis_exceptions
from redis.client import PubSub

from registry import presence
from registry.models import Instance, Service
from saga_project import errors
from saga_project import figures as shared_figures

logger = logging.getLogger(__name__)

LEASE_SECONDS = 0.8
PING_SECONDS = 0.2
TICK_SECONDS = 0.5
MAX_KEPT_CAPABILITIES = 1000
MAX_KEPT_READY = 20_000
_kept_ready: collections.deque[ServiceEntry] = collections.deque()
_NO_METADATA: dict[str, str] = {}
_capabilities: dict[tuple[str, ...], list[str]] = {}
# Several threads count changes: two that add one to the same number would count one change.
_numbers = itertools.count(1)
_VISIBLE = frozenset(status.value for status in Service.APPROVED)


@dataclass(slots=True)
class InstanceEntry:
    """One instance as readers see it; ``score_us`` is its last heartbeat plus its TTL, in µs."""

    instance_id: str
    url: str
    capabilities: list[str]
    version: str
    zone: str
    weight: int
    metadata: dict[str, str]
    health_check_url: str
    health: str
    note: str
    registered_at: str
    ttl_seconds: int
    is_draining: bool
    score_us: int = 0
    hold_us: int = 0

    @property
    def last_heartbeat_us(self) -> int:
        return self.score_us - self.ttl_seconds * 1_000_000

    @property
    def last_heartbeat_at(self) -> dt.datetime:
        return presence.moment(self.last_heartbeat_us)

    def deadline_us(self, floor_us: int) -> int:
        """When its life ends; 0 for one that presence does not know (any more)."""
        if not self.score_us:
            return 0
        return max(self.score_us, floor_us + self.ttl_seconds * 1_000_000, self.hold_us)


class Instances(tuple[InstanceEntry, ...]):
    """A service's instances, found by their id; most have one, for which a dictionary is heavy.

    Never changed, only replaced: readers in other threads walk through the old ones.
    """

    __slots__ = ()

    def get(self, instance_id: str) -> InstanceEntry | None:
        return next((row for row in self if row.instance_id == instance_id), None)

    def values(self) -> Instances:
        return self


@dataclass(slots=True)
class ServiceEntry:
    """A service with its instances, live or just past it; ``live`` says which."""

    name: str
    service_id: str
    status: str
    health_status: str
    misses: int
    version: str
    heartbeat_interval_seconds: int
    account_id: int | None
    canary: tuple[str, int] | None
    revision: int
    instances: Instances
    floor_us: int = 0
    changes: int = field(default=0, compare=False)
    #: What readers are shown, ready to be sent, and for how long; None from each change on.
    ready: bytes | None = field(default=None, compare=False)
    ready_until_us: int = field(default=0, compare=False)

    def touch(self) -> None:
        """Say that something about it changed; called after the change, by whoever made it."""
        self.changes = next(_numbers)
        self.ready = None

    def keep_ready(self, content: bytes, *, until_us: int, changes: int) -> None:
        """Keep what was made while ``changes`` stood where they stand, unless a change came meanwhile.

        The order matters: stored first, compared after. A change that lands in between takes it away
        again; compared first, it could be stored over the change and stay.
        """
        self.ready_until_us = until_us
        self.ready = content
        if self.changes != changes:
            self.ready = None
        _kept_ready.append(self)
        if len(_kept_ready) > MAX_KEPT_READY:
            _kept_ready.popleft().ready = None

    @property
    def is_visible(self) -> bool:
        return self.status in _VISIBLE

    def live(self, now_us: int) -> list[InstanceEntry]:
        floor_us = self.floor_us
        return [entry for entry in self.instances if entry.deadline_us(floor_us) > now_us]


@dataclass(frozen=True)
class Figures:
    """What the cache did in this process; ``last_refresh_at`` is when it last heard of a change."""

    size: int
    hits: int
    misses: int
    last_refresh_at: dt.datetime | None


def entry_of(
    document: dict[str, Any], scores: dict[str, int], holds: dict[str, int], *, floor_us: int
) -> ServiceEntry:
    """Build an entry from a document; an instance without a score is not alive."""
    canary = document["canary"]
    instances = Instances(
        _instance_of(
            row,
            score_us=scores.get(row["instance_id"], 0),
            hold_us=holds.get(row["instance_id"], 0),
        )
        for row in document["instances"]
    )
    return ServiceEntry(
        name=document["name"],
        service_id=document["service_id"],
        status=sys.intern(document["status"]),
        health_status=sys.intern(document["health_status"]),
        misses=document["misses"],
        version=sys.intern(document["version"]),
        heartbeat_interval_seconds=document["interval"],
        account_id=document["account_id"],
        canary=(canary[0], canary[1]) if canary else None,
        revision=document["revision"],
        instances=instances,
        floor_us=floor_us,
    )


def _instance_of(row: dict[str, Any], *, score_us: int, hold_us: int) -> InstanceEntry:
    """Build an instance; what is the same in most of 100,000 is kept once."""
    capabilities = tuple(row["capabilities"])
    if len(_capabilities) > MAX_KEPT_CAPABILITIES:
        _capabilities.clear()
    return InstanceEntry(
        instance_id=sys.intern(row["instance_id"]),
        url=row["url"],
        capabilities=_capabilities.setdefault(capabilities, row["capabilities"]),
        version=sys.intern(row["version"]),
        zone=sys.intern(row["zone"]),
        weight=row["weight"],
        metadata=row["metadata"] or _NO_METADATA,
        health_check_url=row["health_check_url"],
        health=sys.intern(row["health"]),
        note=row["note"],
        registered_at=row["registered_at"],
        ttl_seconds=row["ttl"],
        is_draining=row["is_draining"],
        score_us=score_us,
        hold_us=hold_us,
    )


class _OutOfStep(Exception):
    """A change was missed, or the channel is silent: begin again."""


@dataclass
class _State:
    services: dict[str, ServiceEntry] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    sequence: int = 0
    born_us: int = 0
    floor_us: int = 0
    clock_skew_us: int = 0
    lease_until: float = 0.0
    known_at: float = 0.0
    version: int = 0
    last_refresh_at: dt.datetime | None = None


_state = _State()
_follower: threading.Thread | None = None
_stop = threading.Event()
_moved = threading.Condition()


# --- Reading --------------------------------------------------------------------------------------


def is_whole() -> bool:
    """Whether this process may serve from memory now."""
    return time.monotonic() < _state.lease_until


def is_following() -> bool:
    """Whether this process keeps a replica at all."""
    return _follower is not None


def version() -> int:
    """Return a number that is another one after every change of anything."""
    return _state.version


def peek(name: str) -> ServiceEntry | None:
    """Return what memory holds of the service, live or not; only for who asked ``is_whole`` before."""
    return _state.services.get(name)


def peek_all() -> list[ServiceEntry]:
    """Return everything in memory, sorted by name; only for who asked ``is_whole`` before."""
    services = _state.services  # the names are copied in one step: the follower changes them
    return [services[name] for name in _state.names.copy() if name in services]


def size() -> int:
    return len(_state.services)


def now_us() -> int:
    """Return the time in µs on Redis' clock, as far as this process knows it."""
    return time.time_ns() // 1000 + _state.clock_skew_us


def find(name: str) -> ServiceEntry | None:
    """Return the service, approved or not, where an instance is alive; raises RedisUnavailable."""
    if is_whole():
        entry = _state.services.get(name)
        if entry is not None and entry.live(now_us()):
            return entry
    return _ask_redis(name)


def get(name: str) -> ServiceEntry | None:
    """Return an approved service with at least one live instance, or None; counts hit or miss."""
    if is_whole():
        entry = _state.services.get(name)
        if entry is not None and entry.is_visible and entry.live(now_us()):
            shared_figures.cells[shared_figures.HITS] += 1
            return entry
    shared_figures.cells[shared_figures.MISSES] += 1
    entry = _ask_redis(name)
    return entry if entry is not None and entry.is_visible else None


def _ask_redis(name: str) -> ServiceEntry | None:
    found = presence.read(name)
    if found is None:
        return None
    entry = entry_of(found.document, found.scores, found.holds, floor_us=found.floor_us)
    return entry if entry.live(now_us()) else None


def all_services() -> list[ServiceEntry]:
    """Return every approved service that has a live instance, sorted by name; raises RedisUnavailable."""
    now = now_us()
    entries = peek_all() if is_whole() else _read_everything()
    return [entry for entry in entries if entry.is_visible and entry.live(now)]


def _read_everything() -> list[ServiceEntry]:
    documents, scores, holds, floor_us = presence.snapshot()
    entries = (_assemble(raw, scores, holds, floor_us) for raw in documents)
    services = {entry.name: entry for entry in entries}
    return [services[name] for name in sorted(services)]


def stale_for() -> float | None:
    """Return for how many seconds memory has been stale, where it still may be served; else None."""
    age = time.monotonic() - _state.known_at
    allowed = settings.SAGA_STALE_READS
    return age if _state.known_at and allowed and age <= allowed else None


def stale(name: str) -> ServiceEntry | None:
    entry = _state.services.get(name)
    return entry if entry is not None and entry.is_visible and _was_live(entry) else None


def all_stale() -> list[ServiceEntry]:
    return [entry for entry in peek_all() if entry.is_visible and _was_live(entry)]


def _was_live(entry: ServiceEntry) -> bool:
    """Judged at the moment when we last knew: nobody could beat since."""
    known_us = now_us() - int((time.monotonic() - _state.known_at) * 1_000_000)
    return bool(entry.live(known_us))


def figures() -> Figures:
    return Figures(
        size=len(_state.services),
        hits=shared_figures.cells[shared_figures.HITS],
        misses=shared_figures.cells[shared_figures.MISSES],
        last_refresh_at=_state.last_refresh_at,
    )


# --- Choosing an instance -------------------------------------------------------------------------


def serving(entry: ServiceEntry) -> list[InstanceEntry]:
    """Return the live instances that a caller should be sent to, best first group only.

    Passing ones that are not drained; where there are none, what is left rather than nothing.
    """
    live = entry.live(now_us())
    ready = [row for row in live if not row.is_draining] or live
    return [row for row in ready if row.health == Instance.Health.PASSING] or ready


def newest(entry: ServiceEntry) -> InstanceEntry | None:
    """Return the passing instance that registered last (of the newest live one where none passes)."""
    return max(serving(entry), key=lambda row: (row.registered_at, row.instance_id), default=None)


def pick(entry: ServiceEntry) -> InstanceEntry | None:
    """Return one at random by weight; a running canary gets its share of the answers."""
    candidates = serving(entry)
    if entry.canary is not None:
        candidates = _canary_side(candidates, *entry.canary)
    weights = [row.weight for row in candidates]
    if not candidates:
        return None
    return random.choices(candidates, weights if any(weights) else None)[0]  # noqa: S311


def _canary_side(
    candidates: list[InstanceEntry], version: str, percent: int
) -> list[InstanceEntry]:
    new = [row for row in candidates if row.version == version]
    old = [row for row in candidates if row.version != version]
    chosen = new if random.random() * 100 < percent else old  # noqa: S311
    return chosen or candidates


# --- Following ------------------------------------------------------------------------------------


def start(*, refill: Callable[[], int]) -> None:
    """Follow Redis in this process, in a thread of its own; returns at once.

    ``refill`` is called where Redis turns out to be empty.
    """
    global _follower  # noqa: PLW0603 - one follower a process
    if _follower is None or not _follower.is_alive():
        _stop.clear()
        _follower = threading.Thread(target=_follow, args=[refill], name="directory", daemon=True)
        _follower.start()


def stop() -> None:
    global _follower  # noqa: PLW0603 - one follower a process
    _stop.set()
    if _follower is not None:
        _follower.join(timeout=5)
        _follower = None
    _state.lease_until = 0.0


def wait_for(sequence: int, *, timeout_seconds: float = 0.1) -> None:
    """Return when this process serves the change with that number, or does not serve from memory."""
    if _state.sequence >= sequence or not is_whole():
        return
    with _moved:
        _moved.wait_for(
            lambda: _state.sequence >= sequence or not is_whole(), timeout=timeout_seconds
        )


def note_beats(members: Iterable[str], deadlines: Iterable[int]) -> None:
    """Let this process see at once what its own heartbeats did; the channel will say the same."""
    for member, deadline in zip(members, deadlines, strict=True):
        name, _, instance_id = member.partition("/")
        entry = _state.services.get(name)
        instance = entry.instances.get(instance_id) if entry is not None else None
        if entry is not None and instance is not None and deadline > instance.score_us:
            instance.score_us = deadline
            entry.touch()
    _state.version = next(_numbers)


def _follow(refill: Callable[[], int]) -> None:
    while not _stop.is_set():
        try:
            _follow_once(refill)
        except _OutOfStep as exc:
            logger.warning("directory begins again", extra={"reason": str(exc)})
        except (errors.SagaError, redis_exceptions.RedisError, OSError) as exc:
            logger.warning("directory has no Redis", extra={"reason": str(exc)})
            _stop.wait(0.25)
        except Exception:
            # Whatever it is, a process without a replica still answers, through Redis.
            logger.exception("directory failed")
            _stop.wait(1)
        _state.lease_until = 0.0


def _follow_once(refill: Callable[[], int]) -> None:
    client = presence.follower_connection()
    pubsub = client.pubsub()  # type: ignore[no-untyped-call]
    try:
        pubsub.subscribe(presence.CHANGES_CHANNEL)
        if pubsub.get_message(timeout=1.0) is None:
            raise _OutOfStep("no answer to subscribe")
        _fill(refill)
        _load()
        _listen(pubsub)
    finally:
        pubsub.close()
        client.close()


def _fill(refill: Callable[[], int]) -> None:
    try:
        presence.ensure_filled(refill)
    finally:
        connections.close_all()


def _load() -> None:
    """Take a snapshot; every change after its sequence number is still to come over the channel."""
    _state.born_us = presence.tick().born_us
    sequence = presence.sequence()
    documents, scores, holds, floor_us = presence.snapshot()
    services = {}
    for raw in documents:
        entry = _assemble(raw, scores, holds, floor_us)
        services[entry.name] = entry
    _state.sequence, _state.floor_us = sequence, floor_us
    _state.services = services
    _state.names = sorted(services)
    _touch()


def _assemble(
    raw: bytes, scores: dict[str, int], holds: dict[str, int], floor_us: int
) -> ServiceEntry:
    document = orjson.loads(raw)
    members = {
        row["instance_id"]: f"{document['name']}/{row['instance_id']}"
        for row in document["instances"]
    }
    return entry_of(
        document,
        {own: scores[member] for own, member in members.items() if member in scores},
        {own: holds[member] for own, member in members.items() if member in holds},
        floor_us=floor_us,
    )


def _listen(pubsub: PubSub) -> None:
    last_heard = time.monotonic()
    next_ping = next_tick = 0.0
    while not _stop.is_set():
        now = time.monotonic()
        if now >= next_tick:
            _tick()
            next_tick = now + TICK_SECONDS
        if now >= next_ping:
            pubsub.ping()
            next_ping = now + PING_SECONDS
        message = pubsub.get_message(timeout=PING_SECONDS)
        while message is not None:
            last_heard = time.monotonic()
            if message["type"] == "message":
                _apply(message["data"])
            _state.lease_until = last_heard + LEASE_SECONDS
            _state.known_at = last_heard
            # However much comes: who says nothing for three seconds counts as away.
            message = pubsub.get_message(timeout=0) if last_heard < next_tick else None
        if time.monotonic() - last_heard > LEASE_SECONDS:
            raise _OutOfStep("the channel is silent")


def _tick() -> None:
    tick = presence.tick()
    if tick.born_us != _state.born_us:
        # Perhaps another process has refilled it already: its sequence numbers began again.
        raise _OutOfStep("Redis lost its data")
    _state.clock_skew_us = tick.now_us - time.time_ns() // 1000


def _touch() -> None:
    _state.version = next(_numbers)
    _state.last_refresh_at = dt.datetime.now(dt.UTC)


def _apply(data: bytes) -> None:
    """Apply one change: kind, sequence, words; a document may follow on the second line."""
    head, _, tail = data.partition(b"\n")
    kind, sequence, *words = head.decode().split(" ")
    number = int(sequence)
    if number <= _state.sequence:
        return
    if number != _state.sequence + 1:
        raise _OutOfStep("a change was missed")
    _APPLY[kind](words, tail)
    _touch()
    _state.sequence = number
    with _moved:
        _moved.notify_all()


def _apply_beats(words: list[str], _tail: bytes) -> None:
    services = _state.services
    for position in range(0, len(words), 2):
        name, _, instance_id = words[position].partition("/")
        entry = services.get(name)
        instance = entry.instances.get(instance_id) if entry is not None else None
        if entry is not None and instance is not None:
            instance.score_us = int(words[position + 1])
            entry.touch()


def _apply_put(words: list[str], tail: bytes) -> None:
    name, *rest = words
    before = _state.services.get(name)
    if not tail:
        if _state.services.pop(name, None) is not None:
            _forget_name(name)
        return
    document = orjson.loads(tail)
    scores = {row.instance_id: row.score_us for row in before.instances} if before else {}
    holds = {row.instance_id: row.hold_us for row in before.instances} if before else {}
    for position in range(0, len(rest), 2):
        instance_id = rest[position].partition("/")[2]
        scores[instance_id] = int(rest[position + 1])
        holds[instance_id] = 0
    entry = entry_of(document, scores, holds, floor_us=_state.floor_us)
    if before is None:
        bisect.insort(_state.names, entry.name)
    _state.services[entry.name] = entry


def _forget_name(name: str) -> None:
    position = bisect.bisect_left(_state.names, name)
    if position < len(_state.names) and _state.names[position] == name:
        del _state.names[position]


def _apply_expired(words: list[str], _tail: bytes) -> None:
    for member in words:
        name, _, instance_id = member.partition("/")
        entry = _state.services.get(name)
        if entry is not None:
            entry.instances = Instances(
                row for row in entry.instances if row.instance_id != instance_id
            )
            entry.touch()


def _apply_hold(words: list[str], _tail: bytes) -> None:
    for position in range(0, len(words), 2):
        name, _, instance_id = words[position].partition("/")
        entry = _state.services.get(name)
        instance = entry.instances.get(instance_id) if entry is not None else None
        if entry is not None and instance is not None:
            instance.hold_us = int(words[position + 1])
            entry.touch()


def _apply_floor(words: list[str], _tail: bytes) -> None:
    _state.floor_us = int(words[0])
    for entry in _state.services.values():
        entry.floor_us = _state.floor_us
        entry.touch()


_APPLY = {
    "B": _apply_beats,
    "P": _apply_put,
    "X": _apply_expired,
    "H": _apply_hold,
    "F": _apply_floor,
}
