"""Freezes and maintenance windows bind automation and staff alike, except with an override.

The way back to what ran before is never barred.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from registry.identity.accounts import Caller
from registry.models import Service
from saga_project.shared import api
from updates import errors
from updates.history import audit
from updates.policies import preview

MAX_REASON_LENGTH = 1000


@dataclass(frozen=True)
class Override:
    """An override of the calendar with its author and reason; created after the permission check."""

    by: str
    reason: str


def override_of(caller: Caller | None, reason: str | None) -> Override | None:
    """Return the override that a caller of the API asks for by giving a reason."""
    if reason is None:
        return None
    if caller is None or not caller.is_admin:
        raise errors.OverrideNotAllowed("Overriding the calendar takes the scope 'admin:registry'.")
    return Override(by=str(caller), reason=reason)


def require(service: Service, *, override: Override | None, now: dt.datetime) -> None:
    """Raise ChangesFrozen unless changes are welcome now; an override that is used goes on record.

    Runs inside the transaction of the change.
    """
    verdict = preview.calendar_of(service).judge(now)
    if verdict.is_open:
        return
    if override is None:
        until = f" until {api.zulu(verdict.opens_at)}" if verdict.opens_at else ""
        raise errors.ChangesFrozen(
            f"Service '{service.name}' may not be changed{until}: {verdict.reason} Somebody with the"
            " permission can override this, with a reason."
        )
    if not override.reason.strip():
        raise errors.ReasonMissing("An override needs a reason.", field="override_reason")
    if len(override.reason) > MAX_REASON_LENGTH:
        raise errors.ReasonMissing(
            f"A reason has at most {MAX_REASON_LENGTH} characters.", field="override_reason"
        )
    audit.record(
        "calendar.overridden",
        actor=override.by,
        service_name=service.name,
        data={"reason": override.reason, "obstacle": verdict.reason},
        at=now,
    )
