"""Answers that are made before they are asked for: one service, and the list of all.

``saga.ServiceView`` and ``saga.ServiceListView`` define what they say; here the same bytes are kept until
something changes that they tell of, or a deadline passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from registry import directory
from registry.api import saga
from registry.directory import ServiceEntry
from saga_project import figures

MAX_LISTED = 5000  # Making a longer list would hold up everything else in the event loop.


@dataclass(frozen=True, slots=True)
class _Listing:
    version: int
    until_us: int
    content: bytes


_listing = _Listing(version=-1, until_us=0, content=b"")


def service(name: str) -> bytes | None:
    """Return the body of ``GET /services/{name}``, or None where memory alone cannot tell."""
    if not directory.is_whole():
        return None
    entry = directory.peek(name)
    if entry is None:
        return None
    content = _row(entry, now_us=directory.now_us())
    if content is not None:
        figures.cells[figures.HITS] += 1
    return content


def listing() -> bytes | None:
    """Return the body of ``GET /services``, or None where memory alone cannot tell, or it is long."""
    global _listing  # noqa: PLW0603 - one list a process
    if not directory.is_whole() or directory.size() > MAX_LISTED:
        return None
    now_us = directory.now_us()
    if _listing.version != directory.version() or now_us >= _listing.until_us:
        _listing = _make_listing(now_us)
    return _listing.content


def _make_listing(now_us: int) -> _Listing:
    version = directory.version()  # before the first row is read: what changes later makes it old
    rows: list[bytes] = []
    until_us = now_us + 3_600_000_000
    for entry in directory.peek_all():
        row = _row(entry, now_us=now_us)
        if row is not None:
            rows.append(row)
            until_us = min(until_us, entry.ready_until_us)
    content = b'{"services":[%b],"total":%d}' % (b",".join(rows), len(rows))
    return _Listing(version=version, until_us=until_us, content=content)


def _row(entry: ServiceEntry, *, now_us: int) -> bytes | None:
    """Return the service's JSON, kept or made; None where it is in no lookup."""
    content = entry.ready
    if content is not None and now_us < entry.ready_until_us:
        return content
    changes = entry.changes
    live = entry.live(now_us)
    instance = directory.newest(entry, live=live) if live and entry.is_visible else None
    if instance is None:
        return None
    # A copy: what orjson returns keeps the larger block that it was written into.
    content = b"%b" % orjson.dumps(saga.service_body(entry, instance))
    until_us = min([row.deadline_us(entry.floor_us) for row in live])
    entry.keep_ready(content, until_us=until_us, changes=changes)
    return content
