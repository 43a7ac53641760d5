"""The readers' view of a service and its instances."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any

from registry.models import Service
from saga_project.shared import timestamps

MAX_KEPT = 1000
_NO_METADATA: dict[str, str] = {}
_NO_LABELS: dict[str, str] = {}
_labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
_capabilities: dict[tuple[str, ...], list[str]] = {}
#: Times to live: there is a new object for each number above 256 that is read.
_numbers: dict[int, int] = {}
_VISIBLE = frozenset(status.value for status in Service.APPROVED)


#: What the document of an instance says as its row does, under the same name.
AS_IN_ROWS = (
    *("instance_id", "url", "capabilities", "version", "zone", "weight", "metadata"),
    *("health_check_url", "health", "note", "is_draining"),
)


@dataclass(slots=True, kw_only=True)
class InstanceEntry:
    """One instance as readers see it; ``score_us`` is its last heartbeat plus its TTL, in µs.

    Only ``score_us`` and ``hold_us`` ever change: anything else makes another entry. So the entity tag, and
    what readers are shown before and after the last heartbeat, are made once (by
    ``registry.fast.rendered_lists``). What a lookup reads comes first: with 100,000 services each line of
    the processor's cache is one that has to come from memory.
    """

    json_head: bytes | None = field(default=None, compare=False)
    json_tail: bytes = field(default=b"", compare=False)
    json_tag: bytes = field(default=b"", compare=False)
    score_us: int = 0
    ttl_seconds: int
    hold_us: int = 0
    instance_id: str
    url: str
    capabilities: list[str]
    version: str
    zone: str
    weight: int
    metadata: dict[str, str]
    health_check_url: str
    health: str
    #: What the instance says of itself; ``health`` is the worse of it and of what checks say.
    reported_health: str
    note: str
    registered_us: int
    is_draining: bool

    @property
    def registered_at(self) -> str:
        return timestamps.iso_of(self.registered_us)

    @property
    def last_heartbeat_us(self) -> int:
        return self.score_us - self.ttl_seconds * 1_000_000

    @property
    def last_heartbeat_at(self) -> dt.datetime:
        return timestamps.at(self.last_heartbeat_us)

    def renew(self, at_us: int) -> None:
        """Extend its deadline, and never shorten it: a late message may be older than what is known."""
        score_us = at_us + self.ttl_seconds * 1_000_000
        if score_us > self.score_us:
            self.score_us = score_us

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
        for row in self:
            if row.instance_id == instance_id:
                return row
        return None

    def values(self) -> Instances:
        return self


@dataclass(slots=True, kw_only=True)
class ServiceEntry:
    """A service with its instances, live or just past it; ``live`` says which.

    ``uuid`` is its service id as a number: with 100,000 services, text would be 5 MB more in every process.
    """

    status: str
    instances: Instances
    floor_us: int = 0
    name: str
    uuid: int
    health_status: str
    misses: int
    version: str
    heartbeat_interval_seconds: int
    account_id: int | None
    canary: tuple[str, int | None] | None
    revision: int
    labels: dict[str, str] = field(default_factory=lambda: _NO_LABELS)
    is_in_maintenance: bool = False

    @property
    def service_id(self) -> str:
        return str(uuid.UUID(int=self.uuid))

    @property
    def is_visible(self) -> bool:
        return self.status in _VISIBLE and not self.is_in_maintenance

    def live(self, now_us: int) -> list[InstanceEntry]:
        floor_us = self.floor_us
        return [entry for entry in self.instances if entry.deadline_us(floor_us) > now_us]


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
        uuid=uuid.UUID(document["service_id"]).int,
        status=sys.intern(document["status"]),
        health_status=sys.intern(document["health_status"]),
        misses=document["misses"],
        version=sys.intern(document["version"]),
        heartbeat_interval_seconds=document["interval"],
        account_id=document["account_id"],
        canary=(canary[0], canary[1]) if canary else None,
        revision=document["revision"],
        labels=_labels_of(document),
        is_in_maintenance=bool(document.get("is_in_maintenance")),
        instances=instances,
        floor_us=floor_us,
    )


def _labels_of(document: dict[str, Any]) -> dict[str, str]:
    """Return the labels, of which most services have few different ones; older documents have none."""
    found: dict[str, str] = document.get("labels") or _NO_LABELS
    if len(_labels) > MAX_KEPT:
        _labels.clear()
    return _labels.setdefault(tuple(found.items()), found)


def _instance_of(row: dict[str, Any], *, score_us: int, hold_us: int) -> InstanceEntry:
    """Build an instance; what is the same in most of 100,000 is kept once."""
    capabilities = tuple(row["capabilities"])
    for kept in (_capabilities, _numbers):
        if len(kept) > MAX_KEPT:
            kept.clear()
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
        reported_health=sys.intern(row.get("reported_health") or row["health"]),
        note=row["note"],
        registered_us=timestamps.microseconds(dt.datetime.fromisoformat(row["registered_at"])),
        ttl_seconds=_numbers.setdefault(row["ttl"], row["ttl"]),
        is_draining=row["is_draining"],
        score_us=score_us,
        hold_us=hold_us,
    )
