"""What ``health`` and ``lifecycle`` have in common: the time of a report, and the version in its details."""

from __future__ import annotations

import datetime as dt

import registry.operations
from registry import names
from registry.models import Service
from saga_project.shared import api
from webhooks import errors
from webhooks.inbound.bodies import Data

MAX_AHEAD = dt.timedelta(days=1)


def time_of(data: Data, *, now: dt.datetime) -> dt.datetime:
    """Return the report's own time, else now; raises InvalidTimestamp."""
    if "timestamp" not in data:
        return now
    moment = api.parse_time(data["timestamp"]) if len(data["timestamp"]) <= 64 else None
    if moment is None:
        raise errors.InvalidTimestamp("'timestamp' must be an RFC 3339 time.", field="timestamp")
    if moment > now + MAX_AHEAD:
        raise errors.InvalidTimestamp(
            "'timestamp' is more than a day ahead of this server's clock.", field="timestamp"
        )
    return moment


def record_version(service: Service, details: Data, *, now: dt.datetime) -> None:
    """Record the version that the details name; they are free-form, so anything else is no version."""
    version = details.get("version")
    if not isinstance(version, str) or not names.is_version(version):
        return
    if version != service.version:
        registry.operations.record_version(service.name, version=version, at=now)
