"""Ask a service's source, and put on record what it answers; one check at a time a service."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import logging
import random

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from registry import events
from registry.models import Service
from saga_project.shared import crypto, wakeups
from updates import event_constructors
from updates.errors import SourceUnavailable
from updates.models import Source
from updates.policies import comparison
from updates.policies.comparison import CheckResult
from updates.releases import following, sources

logger = logging.getLogger(__name__)

#: With two visits to a source's list longer than any check can last, so that only a check of a dead
#: process is taken over.
LEASE = dt.timedelta(minutes=3)
MAX_PARALLEL = 8
#: When a check was asked of the queue, and no worker took it.
RETRY_LOST = dt.timedelta(minutes=5)
MAX_BACKOFF = dt.timedelta(hours=24)


# --- One check ------------------------------------------------------------------------------------


def check(service: Service, *, now: dt.datetime) -> CheckResult:
    """Ask the source, unless it needs no asking or is being asked already. Raises SourceUnavailable."""
    rows = Source.objects.select_related("service", "crontab").filter(service=service)
    source = rows.order_by("pk").first()
    if source is None:
        return comparison.compare(service)
    if source.kind in sources.ASK and claim(source, now=now):
        _ask(source, now=now)
        source.refresh_from_db(fields=["last_error"])
    warnings = (source.last_error,) if source.last_error else ()
    return dataclasses.replace(comparison.compare(service), warnings=warnings)


def check_by_schedule(service: Service, *, now: dt.datetime) -> None:
    """Check, and leave what goes wrong to the source's journal and its event.

    Where as many checks as may be are under way already, the next sweep asks again.
    """
    if _running() >= MAX_PARALLEL:
        Source.objects.filter(service=service, lease_expires_at=None).update(next_check_at=now)
        return
    with contextlib.suppress(SourceUnavailable):
        check(service, now=now)


def _running() -> int:
    return Source.objects.filter(lease_expires_at__gte=Now()).count()


def claim(source: Source, *, now: dt.datetime) -> bool:
    """Acquire the lease of the source's check; False if another process holds it."""
    is_free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    visits = dt.timedelta(seconds=2 * settings.SAGA_SOURCE_MAX_SECONDS)
    taken = Source.objects.filter(is_free, pk=source.pk).update(
        lease_expires_at=Now() + LEASE + visits, next_check_at=next_check(source, now=now)
    )
    return taken == 1


def _ask(source: Source, *, now: dt.datetime) -> None:
    try:
        answer = sources.ASK[source.kind](_query(source))
    except SourceUnavailable as exc:
        _record_failure(source, exc, now=now)
        raise
    _record_answer(source, answer, now=now)


def _query(source: Source) -> sources.Query:
    known = source.validators if source.validators.get("for") == _fingerprint(source) else {}
    return sources.Query(
        location=source.location,
        base_url=source.base_url.rstrip("/"),
        options=source.options,
        token=_token(source),
        validators=known,
        needs_times=_needs_times(source),
    )


def _needs_times(source: Source) -> bool:
    return bool(comparison.policy_of(source.service).minimum_age_seconds)


def _token(source: Source) -> str:
    try:
        return crypto.decrypt(source.sealed_token) if source.sealed_token else ""
    except crypto.SecretUnreadable as exc:
        raise SourceUnavailable("The source's token cannot be read with the keys at hand.") from exc


def _fingerprint(source: Source) -> str:
    """Return what the source's validators hold for: another location has another ETag."""
    text = json.dumps(
        [source.kind, source.location, source.base_url, source.options, _needs_times(source)],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- What came of it ------------------------------------------------------------------------------


@transaction.atomic
def _record_failure(source: Source, failure: SourceUnavailable, *, now: dt.datetime) -> None:
    is_news = source.last_error != failure.message
    Source.objects.filter(pk=source.pk).update(
        lease_expires_at=None,
        last_checked_at=now,
        last_error=failure.message,
        failures=F("failures") + 1,
        next_check_at=now + _backoff(source, failure.retry_after_seconds),
    )
    if is_news:
        events.publish(event_constructors.check_failed(source.service.name, reason=failure.message))
    logger.info("check failed", extra={"service": source.service.name, "reason": failure.message})


def _backoff(source: Source, retry_after_seconds: int | None) -> dt.timedelta:
    """Double the wait with each failure in a row; never come before the source asked us to."""
    doubled = dt.timedelta(seconds=source.interval_seconds * (1 << min(source.failures, 10)))
    wait = min(doubled, MAX_BACKOFF) + _chance(min(source.interval_seconds / 10, 3600))
    return max(wait, dt.timedelta(seconds=retry_after_seconds or 0))


@transaction.atomic
def _record_answer(source: Source, answer: sources.Answer, *, now: dt.datetime) -> None:
    service = source.service
    doubts = following.record_answer(service, answer, origin=source.kind)
    result = comparison.compare(service)
    latest = result.latest_version
    if latest and result.is_update_available and latest != source.last_version:
        events.publish(
            event_constructors.update_available(
                service.name, current=result.current_version, latest=latest
            )
        )
    if doubts and doubts[0] != source.last_error:
        events.publish(event_constructors.check_failed(service.name, reason=doubts[0]))
    elif source.last_error and not doubts:
        events.publish(event_constructors.check_recovered(service.name))
    Source.objects.filter(pk=source.pk).update(
        lease_expires_at=None,
        last_checked_at=now,
        last_version=latest or "",
        last_error=doubts[0] if doubts else "",
        failures=0,
        # An answer with a doubt in it is asked for in full again, so that the doubt stays visible.
        validators={} if doubts else {**answer.validators, "for": _fingerprint(source)},
    )
    wakeups.wake("updates.apply_policy", service.pk)


# --- When -----------------------------------------------------------------------------------------


def next_check(source: Source, *, now: dt.datetime) -> dt.datetime:
    """Return the next regular time, with a tenth of the interval (at most an hour) left to chance."""
    if source.crontab is not None:
        schedule = source.crontab.schedule
        here, until_next, _ = schedule.remaining_delta(now.astimezone(schedule.tz))
        coming: dt.datetime = here + until_next
        return coming.astimezone(dt.UTC) + _chance(60)
    wait = dt.timedelta(seconds=source.interval_seconds)
    return now + wait + _chance(min(source.interval_seconds / 10, 3600))


def _chance(up_to_seconds: float) -> dt.timedelta:
    """Spread what would otherwise all come at once."""
    return dt.timedelta(seconds=random.uniform(0, up_to_seconds))  # noqa: S311 - guards no secret


@transaction.atomic
def enqueue_due() -> int:
    """Ask the queue for the checks that are due, as many as may run at once; return how many."""
    due = (
        Source.objects.select_for_update(skip_locked=True)
        .filter(Q(next_check_at=None) | Q(next_check_at__lte=Now()), is_enabled=True)
        .filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now()))
        .exclude(kind=Source.Kind.ANNOUNCED)
        .order_by(F("next_check_at").asc(nulls_first=True), "pk")
        .values_list("pk", "service_id")[: max(0, MAX_PARALLEL - _running())]
    )
    taken = list(due)
    Source.objects.filter(pk__in=[pk for pk, _ in taken]).update(next_check_at=Now() + RETRY_LOST)
    for _, service_id in taken:
        wakeups.wake("updates.check", service_id)
    return len(taken)
