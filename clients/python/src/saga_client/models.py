"""What Saga answers, as objects; ``document`` holds the whole answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: States in which a job does not change any more.
ENDED = frozenset({"succeeded", "failed", "rolled_back", "cancelled"})


@dataclass(frozen=True)
class Instance:
    """A running copy of a service, at ``url``."""

    service_name: str
    instance_id: str
    url: str
    health: str
    weight: int
    zone: str | None
    version: str | None
    document: dict[str, Any] = field(repr=False, compare=False)


def instance_of(service_name: str, document: dict[str, Any]) -> Instance:
    """Return the instance that an answer's object describes."""
    return Instance(
        service_name=service_name,
        instance_id=document["instance_id"],
        url=document["service_url"],
        health=document["health"],
        weight=document["weight"],
        zone=document.get("zone") or None,
        version=document.get("version") or None,
        document=document,
    )


@dataclass(frozen=True)
class Job:
    """A deployment or rollback; ``progress`` in percent."""

    job_id: str
    kind: str
    service_name: str
    version: str
    status: str
    progress: int
    error: str | None
    document: dict[str, Any] = field(repr=False, compare=False)

    @property
    def is_over(self) -> bool:
        return self.status in ENDED

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Return the journal: name, target, status, started_at, finished_at, message."""
        return list(self.document["steps"])


def job_of(document: dict[str, Any]) -> Job:
    """Return the job that an answer describes."""
    return Job(
        job_id=document["job_id"],
        kind=document["kind"],
        service_name=document["service_name"],
        version=document["version"],
        status=document["status"],
        progress=document["progress"],
        error=document.get("error"),
        document=document,
    )
