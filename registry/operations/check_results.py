"""What the results of health checks make of an instance.

An instance is as healthy as the worse of two: what it says of itself, and what the checks say of it. So a
failing check makes it critical and a passing one restores it; neither makes it expire.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from registry import events
from registry.directory import projection
from registry.models import (
    CheckedInstance,
    CheckTransition,
    CheckVerdict,
    HealthCheck,
    Instance,
    Service,
)
from registry.operations import rows
from saga_project.shared import errors

#: What a checker may be late before the time in between counts as not checked.
GAP_SECONDS = 90
SERVICES_AT_ONCE = 20
#: Between two warnings about the same certificate.
WARN_AGAIN = dt.timedelta(days=1)
_RESULT = ("verdict", "reason", "since", "checked_at", "certificate_expires_at", "warned_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A check's new verdict on an instance, ``age_seconds`` ago."""

    check_id: int
    service_id: int
    instance_id: str
    verdict: str
    reason: str
    age_seconds: float
    certificate_expires_at: float | None = None


class NoChecker(errors.Conflict):
    """The process is not counted among the checkers any more: others have its checks."""

    error = "Not a checker"


def record(observations: Sequence[Observation], *, checker: UUID) -> None:
    """Write new verdicts down, with the events and the health that they make. Raises NoChecker.

    The clock is PostgreSQL's. A verdict that is known already, or whose check is gone, changes nothing.
    """
    by_service: dict[int, list[Observation]] = {}
    for each in observations:
        by_service.setdefault(each.service_id, []).append(each)
    keys = sorted(by_service)
    for start in range(0, len(keys), SERVICES_AT_ONCE):
        with transaction.atomic():
            now = _fence(checker)
            services = _locked(keys[start : start + SERVICES_AT_ONCE])
            drafts = _Changes(now).record(services, by_service)
            events.publish(*drafts, *_settle(services, now=now))


def settle(service_ids: Iterable[int]) -> None:
    """Bring the health of instances in line with the results of the checks that there still are."""
    with transaction.atomic():
        events.publish(*_settle(_locked(service_ids), now=timezone.now()))


def _fence(checker: UUID) -> dt.datetime:
    """Return PostgreSQL's time; a process that slept over its lease writes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp() FROM registry_checker"
            " WHERE token = %s AND expires_at > clock_timestamp() FOR KEY SHARE",
            [checker],
        )
        row = cursor.fetchone()
    if row is None:
        raise NoChecker("This process' lease on checks has expired.")
    now: dt.datetime = row[0]
    return now


def _locked(service_ids: Iterable[int]) -> list[Service]:
    rows = Service.objects.registered().filter(pk__in=list(service_ids)).order_by("pk")
    return list(rows.select_for_update().only(*projection.SERVICE_FIELDS))


def gap_of(check: HealthCheck) -> dt.timedelta:
    """Return how long a check may be silent before that counts as a gap."""
    return dt.timedelta(seconds=3 * check.interval_seconds + GAP_SECONDS)


@dataclass
class _Changes:
    """The rows that observations of services with locked rows change; ``record`` returns the events."""

    now: dt.datetime
    drafts: list[events.EventDraft] = field(default_factory=list)
    transitions: list[CheckTransition] = field(default_factory=list)

    def record(
        self, services: Iterable[Service], seen: Mapping[int, Sequence[Observation]]
    ) -> list[events.EventDraft]:
        names = {service.pk: service.name for service in services}
        wanted = [each for pk in names for each in seen[pk]]
        checks = HealthCheck.objects.filter(is_enabled=True).in_bulk(
            {each.check_id for each in wanted}
        )
        known = {
            (row.check_made_id, row.instance_id): row
            for row in CheckedInstance.objects.filter(
                check_made__in=checks, instance_id__in={each.instance_id for each in wanted}
            )
        }
        written: dict[tuple[int, str], CheckedInstance] = {}
        for each in wanted:
            check = checks.get(each.check_id)
            if check is not None and check.service_id == each.service_id:
                at = self.now - dt.timedelta(seconds=each.age_seconds)
                key = check.pk, each.instance_id
                row = known.setdefault(
                    key,
                    CheckedInstance(
                        check_made=check, instance_id=each.instance_id, since=at, checked_at=at
                    ),
                )
                self._set_verdict(names[check.service_id], check, row, each, at=at)
                self._warn_of_certificate(names[check.service_id], check, row, each)
                written[key] = row
        CheckTransition.objects.bulk_create(self.transitions)
        _write(list(written.values()))
        return self.drafts

    def _set_verdict(
        self,
        service_name: str,
        check: HealthCheck,
        row: CheckedInstance,
        seen: Observation,
        *,
        at: dt.datetime,
    ) -> None:
        is_known = row.verdict != CheckVerdict.UNKNOWN
        if is_known and at - row.checked_at > gap_of(check):
            why = "Nothing was checked."
            self._move(row, row.verdict, CheckVerdict.UNKNOWN, at=row.checked_at, reason=why)
            self._move(row, CheckVerdict.UNKNOWN, row.verdict, at=at, reason=row.reason)
        row.checked_at = max(row.checked_at, at)
        if row.verdict == seen.verdict:
            return
        self._move(row, row.verdict, seen.verdict, at=at, reason=seen.reason)
        if CheckVerdict.CRITICAL in (row.verdict, seen.verdict):
            self.drafts.append(
                events.check_changed(
                    service_name,
                    check=check.name,
                    instance_id=row.instance_id,
                    old=row.verdict,
                    new=seen.verdict,
                    reason=seen.reason,
                )
            )
        row.verdict, row.reason, row.since = seen.verdict, seen.reason[:255], at

    def _move(
        self, row: CheckedInstance, old: str, new: str, *, at: dt.datetime, reason: str
    ) -> None:
        self.transitions.append(
            CheckTransition(
                check_made_id=row.check_made_id,
                instance_id=row.instance_id,
                old=old,
                new=new,
                reason=reason[:255],
                at=at,
            )
        )

    def _warn_of_certificate(
        self, service_name: str, check: HealthCheck, row: CheckedInstance, seen: Observation
    ) -> None:
        if seen.certificate_expires_at is None:
            return
        expires_at = dt.datetime.fromtimestamp(seen.certificate_expires_at, tz=dt.UTC)
        row.certificate_expires_at = expires_at
        is_soon = expires_at - self.now <= dt.timedelta(days=check.certificate_warning_days)
        is_told = row.warned_at is not None and self.now - row.warned_at < WARN_AGAIN
        if check.certificate_warning_days and is_soon and not is_told:
            row.warned_at = self.now
            self.drafts.append(
                events.certificate_expires(
                    service_name,
                    check=check.name,
                    instance_id=row.instance_id,
                    expires_at=expires_at.isoformat(),
                )
            )


def _write(results: Sequence[CheckedInstance]) -> None:
    """Write new and known rows by one INSERT, which takes a quarter of the time of ``bulk_update``."""
    for row in results:
        row.pk = None  # the check and the instance are what names a row
    CheckedInstance.objects.bulk_create(
        results,
        update_conflicts=True,
        unique_fields=("check_made", "instance_id"),
        update_fields=_RESULT,
    )


def _settle(services: Sequence[Service], *, now: dt.datetime) -> list[events.EventDraft]:
    """Bring the instances of services with locked rows in line; return the events of that."""
    by_key = {service.pk: service for service in services}
    failing = {
        (service_id, instance_id): reason
        for service_id, instance_id, reason in CheckedInstance.objects.filter(
            check_made__service__in=by_key,
            check_made__is_enabled=True,
            verdict=CheckVerdict.CRITICAL,
        ).values_list("check_made__service_id", "instance_id", "reason")
    }
    is_ill = Q(check_health=Instance.Health.CRITICAL)
    is_failing = Q(instance_id__in={instance_id for _, instance_id in failing})
    changed: dict[Instance.Health, list[Instance]] = {}
    drafts: list[events.EventDraft] = []
    live = Instance.objects.live().filter(is_ill | is_failing, service__in=by_key)
    for instance in live.order_by("pk"):
        reason = failing.get((instance.service_id, instance.instance_id))
        health = Instance.Health.PASSING if reason is None else Instance.Health.CRITICAL
        if instance.check_health != health:
            service = by_key[instance.service_id]
            before, instance.check_health = instance.combined_health, health
            drafts += rows.health_drafts(service, instance, before=before, note=reason or "")
            changed.setdefault(health, []).append(instance)
    for health, instances in changed.items():
        Instance.objects.filter(pk__in=[row.pk for row in instances]).update(check_health=health)
    shown = {row.service_id for instances in changed.values() for row in instances}
    _show([by_key[pk] for pk in sorted(shown)], now=now)
    return drafts


def _show(services: Sequence[Service], *, now: dt.datetime) -> None:
    if services:
        rows_of = Service.objects.filter(pk__in=[service.pk for service in services])
        rows_of.update(revision=F("revision") + 1, updated_at=now)
        for service in services:
            service.revision += 1  # its row is locked
        projection.schedule_all(services)


def note_checked(seen: Sequence[tuple[int, str, float]]) -> None:
    """Write when checks were last made: ``seen`` are check id, instance id and age in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE_CHECKED,
            [
                [check_id for check_id, _, _ in seen],
                [instance_id for _, instance_id, _ in seen],
                [age for _, _, age in seen],
            ],
        )


_NOTE_CHECKED = """
UPDATE registry_checkedinstance AS known
   SET checked_at = greatest(known.checked_at, clock_timestamp() - seen.age * interval '1 second')
  FROM unnest(%s::bigint[], %s::text[], %s::float8[]) AS seen (check_id, instance_id, age)
 WHERE known.check_made_id = seen.check_id AND known.instance_id = seen.instance_id
"""
