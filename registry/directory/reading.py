"""Asking for services: from memory while it is whole, else from Redis; how stale, and how often."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from django.conf import settings

from registry import presence
from registry.directory import changes, memory
from registry.directory.entries import ServiceEntry, entry_of
from saga_project.shared import counters as shared_figures


@dataclass(frozen=True)
class Counters:
    """Counters of this process's cache; ``last_refresh_at`` is the time of the last change."""

    size: int
    hits: int
    misses: int
    last_refresh_at: dt.datetime | None


def find(name: str) -> ServiceEntry | None:
    """Return the service, approved or not, where an instance is alive; raises RedisUnavailable."""
    if memory.is_whole():
        entry = memory.peek(name)
        if entry is not None and entry.live(memory.now_us()):
            return entry
    return _ask_redis(name)


def get(name: str) -> ServiceEntry | None:
    """Return an approved service with at least one live instance, or None; counts hit or miss."""
    if memory.is_whole():
        entry = memory.peek(name)
        if entry is not None and entry.is_visible and entry.live(memory.now_us()):
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
    return entry if entry.live(found.now_us) else None


def all_services() -> list[ServiceEntry]:
    """Return every approved service that has a live instance, sorted by name; raises RedisUnavailable."""
    now = memory.now_us()
    entries = memory.peek_all() if memory.is_whole() else _read_everything()
    return [entry for entry in entries if entry.is_visible and entry.live(now)]


def _read_everything() -> list[ServiceEntry]:
    documents, scores, holds, floor_us = presence.snapshot()
    entries = (changes.assemble(raw, scores, holds, floor_us) for raw in documents)
    services = {entry.name: entry for entry in entries}
    return [services[name] for name in sorted(services)]


def stale_for() -> float | None:
    """Return for how many seconds memory has been stale, where it still may be served; else None."""
    age = time.monotonic() - memory.state.known_at
    allowed = settings.SAGA_STALE_READS
    return age if memory.state.known_at and allowed and age <= allowed else None


def stale(name: str) -> ServiceEntry | None:
    entry = memory.peek(name)
    return entry if entry is not None and entry.is_visible and _was_live(entry) else None


def all_stale() -> list[ServiceEntry]:
    return [entry for entry in memory.peek_all() if entry.is_visible and _was_live(entry)]


def _was_live(entry: ServiceEntry) -> bool:
    """Evaluated at the last known moment, since no heartbeat could arrive after it."""
    known_us = memory.now_us() - int((time.monotonic() - memory.state.known_at) * 1_000_000)
    return bool(entry.live(known_us))


def cache_counters() -> Counters:
    return Counters(
        size=memory.size(),
        hits=shared_figures.cells[shared_figures.HITS],
        misses=shared_figures.cells[shared_figures.MISSES],
        last_refresh_at=memory.state.last_refresh_at,
    )
