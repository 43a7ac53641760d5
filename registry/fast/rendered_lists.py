"""Answers made of what is kept ready: one service, and the list of all.

``ServiceView`` and ``ServiceListView`` in ``registry.api.services`` define what they say. Of a service's JSON
only the last heartbeat ever changes while its entry lives, so what stands before and after it is kept with
the entry; the list is kept until something changes, or a deadline passes.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

from registry import directory
from registry.api import conditional, services
from registry.directory import InstanceEntry, ServiceEntry
from saga_project.shared import counters, strict_json, timestamps

#: A private character that no URL may hold, so no answer contains it.
_HOLE = "\ue000"
MAX_TAILS = 1000
MAX_LISTED = 5000  # Making a longer list would hold up everything else in the event loop.


#: An entity tag, and the body that goes with it.
Answer = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Listing:
    """``shown`` are the instances in it: while they are the same objects, the tag is the same."""

    version: int
    until_us: int
    shown: list[InstanceEntry]
    answer: Answer


#: Capabilities, mostly: the same in most services.
_tails: dict[bytes, bytes] = {}
_listing = _Listing(version=-1, until_us=0, shown=[], answer=(b"", b""))


def service(name: str) -> Answer | None:
    """Return tag and body of ``GET /services/{name}``, or None where memory is not enough."""
    if not directory.is_whole():
        return None
    entry = directory.peek(name)
    if entry is None:
        return None
    now_us = directory.now_us()
    shown = _shown(entry, now_us) if entry.canary is None else _chosen(entry, now_us)
    if shown is None:
        return None
    counters.cells[counters.HITS] += 1
    body = _json(entry, shown[0])
    return shown[0].json_tag, body


def listing() -> Answer | None:
    """Return tag and body of ``GET /services``, or None where memory is not enough, or the list is long."""
    global _listing  # noqa: PLW0603 - one list a process
    if not directory.is_whole() or directory.size() > MAX_LISTED:
        return None
    now_us = directory.now_us()
    if _listing.version != directory.version() or now_us >= _listing.until_us:
        _listing = _make_listing(now_us)
    return _listing.answer


def _make_listing(now_us: int) -> _Listing:
    version = directory.version()  # before the first row is read: what changes later makes it old
    rows: list[bytes] = []
    shown: list[tuple[ServiceEntry, InstanceEntry]] = []
    until_us = now_us + 3_600_000_000
    for entry in directory.peek_all():
        known = _shown(entry, now_us)
        if known is not None:
            rows.append(_json(entry, known[0]))
            shown.append((entry, known[0]))
            if known[1] < until_us:
                until_us = known[1]
    content = b'{"services":[%b],"total":%d}' % (b",".join(rows), len(rows))
    instances = [instance for _, instance in shown]
    answer = _tag_of(shown, instances), content
    return _Listing(version=version, until_us=until_us, shown=instances, answer=answer)


def _tag_of(
    shown: list[tuple[ServiceEntry, InstanceEntry]], instances: list[InstanceEntry]
) -> bytes:
    """Return the tag of the list; heartbeats change no instance, so mostly it is the one of before."""
    before = _listing.shown
    if len(before) == len(instances) and all(map(operator.is_, before, instances)):
        tag = _listing.answer[0]
        if tag:
            return tag
    tags = [conditional.tag_of(entry, instance) for entry, instance in shown]
    return conditional.tag_of_all(tags, total=len(tags))


def _shown(entry: ServiceEntry, now_us: int) -> tuple[InstanceEntry, int] | None:
    """Return the instance that a lookup answers with, and how long at least; None where there is none."""
    if not entry.is_visible:
        return None
    if len(entry.instances) > 1:
        return _newest(entry, now_us)
    for instance in entry.instances:
        until_us = instance.score_us
        if until_us <= now_us:
            until_us = instance.deadline_us(entry.floor_us)
        if until_us > now_us:
            return instance, until_us
    return None


def _chosen(entry: ServiceEntry, now_us: int) -> tuple[InstanceEntry, int] | None:
    """During a rollout each lookup chooses anew."""
    instance = directory.chosen(entry, live=entry.live(now_us)) if entry.is_visible else None
    return None if instance is None else (instance, now_us)


def _newest(entry: ServiceEntry, now_us: int) -> tuple[InstanceEntry, int] | None:
    live = entry.live(now_us)
    instance = directory.newest(entry, live=live)
    if instance is None:
        return None
    return instance, min([row.deadline_us(entry.floor_us) for row in live])


def _json(entry: ServiceEntry, instance: InstanceEntry) -> bytes:
    head = instance.json_head or _keep_json(entry, instance)
    seconds, rest = divmod(instance.last_heartbeat_us, 1_000_000)
    return b"%b%b.%06d+00:00%b" % (head, timestamps.iso_second(seconds), rest, instance.json_tail)


def _keep_json(entry: ServiceEntry, instance: InstanceEntry) -> bytes:
    """Keep what stands around the last heartbeat, and return what stands before it."""
    body = services.service_body(entry, instance)
    content = strict_json.dumps({**body, "last_heartbeat": _HOLE})
    # Copies: what orjson returns keeps the larger block that it was written into.
    head, _, tail = content.partition(_HOLE.encode())
    if len(_tails) >= MAX_TAILS:
        _tails.clear()
    instance.json_tail = _tails.setdefault(tail, tail)
    instance.json_tag = conditional.tag_of(entry, instance)
    instance.json_head = head  # last: with it, both are there
    return head
