"""Which processes make checks, and which checks each of them makes. All times are PostgreSQL's."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from django.db import connection

from registry.background.checking.probe import Definition, InstanceProbe, Key, holder_of
from registry.models import CheckedInstance, Checker, CheckVerdict, HealthCheck, Instance

LEASE_SECONDS = 15.0
#: The lease of a process; the rows of those that ended are deleted by the others.
_RENEW = """
INSERT INTO registry_checker AS mine (token, node, holder, is_general, expires_at)
VALUES (%s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (token) DO UPDATE SET expires_at = excluded.expires_at
RETURNING (SELECT old.expires_at >= clock_timestamp() FROM registry_checker AS old
            WHERE old.token = mine.token)
"""
_FORGET = "DELETE FROM registry_checker WHERE expires_at < clock_timestamp() - interval '1 hour'"
_SIGNATURE = """
WITH made AS (
    SELECT id, service_id, updated_at FROM registry_healthcheck
     WHERE is_enabled AND (node = %s OR %s AND node = '')
)
SELECT (SELECT count(*) FROM made), (SELECT max(updated_at) FROM made), (SELECT sum(id) FROM made),
       (SELECT sum(hashtextextended(
                   concat_ws(' ', service_id, instance_id, url, health_check_url), 0)::numeric)
          FROM registry_instance
         WHERE state = 'live' AND service_id IN (SELECT service_id FROM made))
"""
_MEMBERS = """
SELECT token::text, node, is_general FROM registry_checker
 WHERE expires_at >= clock_timestamp() ORDER BY token
"""


@dataclass(frozen=True, kw_only=True)
class CheckerLease:
    """This process among the checkers: it makes the checks of its node and, if general, those of no node."""

    node: str
    is_general: bool = True
    token: uuid.UUID = field(default_factory=uuid.uuid4)

    def renew(self) -> bool:
        """Acquire or renew the lease; False if it had expired, so that other checkers had the checks."""
        holder = f"{socket.gethostname()}/{os.getpid()}"
        with connection.cursor() as cursor:
            cursor.execute(
                _RENEW, [self.token, self.node, holder[:255], self.is_general, LEASE_SECONDS]
            )
            was_held = cursor.fetchone()[0]
            cursor.execute(_FORGET)
        return was_held is not False

    def give_up(self) -> None:
        Checker.objects.filter(token=self.token).delete()

    def signature(self) -> tuple[Any, ...]:
        """Return what is another one after each change of a check, of an instance, or of the members."""
        with connection.cursor() as cursor:
            cursor.execute(_SIGNATURE, [self.node, self.is_general])
            changes = cursor.fetchone()
            cursor.execute(_MEMBERS)
            return (changes, tuple(cursor.fetchall()))


def has_checks(node: str, *, is_general: bool) -> bool:
    nodes = {node, ""} if is_general else {node}
    return HealthCheck.objects.filter(is_enabled=True, node__in=nodes).exists()


def load(lease: CheckerLease, members: Iterable[tuple[str, str, bool]]) -> dict[Key, InstanceProbe]:
    """Return the probes that are this process' share, with the verdicts that are on record."""
    nodes = {lease.node, ""} if lease.is_general else {lease.node}
    known = list(members)
    checks = list(HealthCheck.objects.filter(is_enabled=True, node__in=nodes).order_by("pk"))
    instances: dict[int, list[tuple[str, str, str]]] = {}
    rows = Instance.objects.live().filter(service__in={check.service_id for check in checks})
    for service_id, *row in rows.values_list(
        "service_id", "instance_id", "url", "health_check_url"
    ).iterator():
        instances.setdefault(service_id, []).append((row[0], row[1], row[2]))
    probes = {}
    for check in checks:
        tokens = [
            token for token, node, is_general in known if _may_make(check.node, node, is_general)
        ]
        for instance_id, url, health_check_url in instances.get(check.service_id, ()):
            key = (check.pk, instance_id)
            address = address_of(check, url, health_check_url)
            is_meant = check.instance_id in ("", instance_id) and address
            if is_meant and tokens and holder_of(key, tokens) == str(lease.token):
                probes[key] = InstanceProbe(key=key, definition=_definition(check, address))
    _recall(probes)
    return probes


def _may_make(wanted: str, node: str, is_general: bool) -> bool:
    return wanted == node if wanted else is_general


def address_of(check: HealthCheck, url: str, health_check_url: str) -> str:
    """Return the URL to call; empty where the check names none and the instance has registered none."""
    if check.kind == HealthCheck.Kind.TCP:
        return url
    if check.url.startswith("/"):
        try:
            return urljoin(url, "/" + check.url.lstrip("/"))
        except ValueError:
            return url
    return check.url or health_check_url


def _definition(check: HealthCheck, address: str) -> Definition:
    return Definition(
        service_id=check.service_id,
        kind=check.kind,
        url=address,
        port=check.port,
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        failures_before_critical=check.failures_before_critical,
        successes_before_passing=check.successes_before_passing,
        expected_status=check.expected_status,
        json_pointer=check.json_pointer,
        json_value=check.json_value,
        certificate_warning_days=check.certificate_warning_days,
    )


def _recall(probes: dict[Key, InstanceProbe]) -> None:
    """Give the probes the verdicts of the processes that made them before."""
    rows = CheckedInstance.objects.exclude(verdict=CheckVerdict.UNKNOWN)
    for check_id, instance_id, verdict, reason, expires_at in rows.values_list(
        "check_made_id", "instance_id", "verdict", "reason", "certificate_expires_at"
    ).iterator():
        probe = probes.get((check_id, instance_id))
        if probe is not None:
            probe.verdict, probe.reason = verdict, reason
            probe.certificate_expires_at = expires_at.timestamp() if expires_at else None
