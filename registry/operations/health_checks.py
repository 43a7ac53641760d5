"""Health checks as they are configured; ``check_results`` says what comes of them."""

from __future__ import annotations

import re

from django.db import connection, transaction

from registry.models import HealthCheck
from registry.operations import check_results
from registry.operations.configured import Faults, Kind
from saga_project.shared import rules

CHANNEL = "saga_health_checks"
_STATUSES = re.compile(
    r"[1-5][0-9]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2}(-[1-5][0-9]{2})?)*", re.ASCII
)
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


def ranges_of(text: str) -> tuple[range, ...]:
    """Return the statuses that ``expected_status`` names."""
    parts = [part.partition("-") for part in text.split(",")]
    return tuple(range(int(low), int(high or low) + 1) for low, _, high in parts)


def _faults(check: HealthCheck) -> Faults:
    return {**_faults_of_address(check), **_faults_of_numbers(check), **_faults_of_answer(check)}


def _faults_of_address(check: HealthCheck) -> dict[str, str]:
    found = {}
    if check.url and not check.url.startswith("/") and (fault := rules.URL.fault(check.url)):
        found["url"] = fault
    if check.kind == HealthCheck.Kind.TCP and check.url:
        found["url"] = "A TCP check goes to the instance's own host; name a port."
    if check.instance_id and (fault := rules.INSTANCE_ID.fault(check.instance_id)):
        found["instance_id"] = fault
    if check.port is not None and not 1 <= check.port <= 65535:
        found["port"] = "A port is a number from 1 to 65535."
    return found


def _faults_of_answer(check: HealthCheck) -> dict[str, str]:
    found = {}
    if not _STATUSES.fullmatch(check.expected_status) or not all(
        map(len, ranges_of(check.expected_status))
    ):
        found["expected_status"] = "Write statuses such as 200, 200-299 or 200,204,301-308."
    if check.json_pointer and not _POINTER.fullmatch(check.json_pointer):
        found["json_pointer"] = "A JSON pointer begins with /, such as /status (RFC 6901)."
    return found


def _faults_of_numbers(check: HealthCheck) -> dict[str, str]:
    found = {}
    for name, limit in (("interval_seconds", 86_400), ("timeout_seconds", 60)):
        if not 1 <= (getattr(check, name) or 0) <= limit:
            found[name] = f"This is a number of seconds from 1 to {limit}."
    for name in ("failures_before_critical", "successes_before_passing"):
        if not 1 <= (getattr(check, name) or 0) <= 100:
            found[name] = "This is a number from 1 to 100."
    return found


def _announce(check: HealthCheck) -> None:
    """Wake the checkers with the commit; without the check its results count no more at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    service_id = check.service_id
    transaction.on_commit(lambda: check_results.settle([service_id]), robust=True)


CHECK = Kind(model=HealthCheck, name="check", find_faults=_faults, wake_up=_announce)
