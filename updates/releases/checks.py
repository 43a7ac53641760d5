"""Ask a service's source, and put on record what it answers; one check at a time a service."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import logging
import random
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from registry import events
from registry.models import Service
from saga_project.shared import crypto, versions, wakeups
from saga_project.shared import errors as saga_errors
from updates import event_constructors
from updates.errors import ReleaseDiffers, SourceUnavailable
from updates.history import records
from updates.models import Policy, Release, Source
from updates.releases import recording, sources

logger = logging.getLogger(__name__)

#: Longer than any check can last, so that only a check of a dead process is taken over.
LEASE = dt.timedelta(minutes=3)
MAX_PARALLEL = 8
#: When a check was asked of the queue, and no worker took it.
RETRY_LOST = dt.timedelta(minutes=5)
MAX_BACKOFF = dt.timedelta(hours=24)
BY_ITS_SOURCE = "Taken back by its source."


@dataclasses.dataclass(frozen=True)
class CheckResult:
    service_name: str
    current_version: str | None
    latest_version: str | None
    is_update_available: bool


def compare(service: Service) -> CheckResult:
    """Say what runs, and what could, by what is on record."""
    policy = Policy.objects.filter(service=service).order_by("pk").first() or Policy(
        service=service
    )
    current = current_version(service)
    latest = recording.latest(
        service, allows_prereleases=policy.allows_prereleases, channel=policy.channel
    )
    is_newer = bool(current and latest and versions.is_newer(latest, than=current))
    return CheckResult(service.name, current, latest, is_newer)


def current_version(service: Service) -> str | None:
    """Return what was deployed last, else what the service last reported, else None."""
    return records.deployed_version(service.name) or service.version or None


# --- One check ------------------------------------------------------------------------------------


def check(service: Service, *, now: dt.datetime) -> CheckResult:
    """Ask the source, unless it needs no asking or is being asked already. Raises SourceUnavailable."""
    rows = Source.objects.select_related("service", "crontab").filter(service=service)
    source = rows.order_by("pk").first()
    if source is not None and source.kind in sources.ASK and claim(source, now=now):
        _ask(source, now=now)
    return compare(service)


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
    taken = Source.objects.filter(is_free, pk=source.pk).update(
        lease_expires_at=Now() + LEASE, next_check_at=next_check(source, now=now)
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
    )


def _token(source: Source) -> str:
    try:
        return crypto.decrypt(source.sealed_token) if source.sealed_token else ""
    except crypto.SecretUnreadable as exc:
        raise SourceUnavailable("The source's token cannot be read with the keys at hand.") from exc


def _fingerprint(source: Source) -> str:
    """Return what the source's validators hold for: another location has another ETag."""
    text = json.dumps(
        [source.kind, source.location, source.base_url, source.options], sort_keys=True
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
    doubts = _record_releases(source, answer.found) if answer.found is not None else []
    result = compare(service)
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
    wakeups.ring("updates.apply_policy", service.pk)


def _record_releases(source: Source, found: Sequence[sources.Found]) -> list[str]:
    """Put what is new on record, oldest first; return what is wrong with the rest."""
    known = {release.version: release for release in source.service.releases.all()}
    is_first_answer = not any(release.origin == source.kind for release in known.values())
    doubts: list[str] = []
    for place, item in reversed(list(enumerate(found))):
        # Of a source's whole past only the newest is news.
        is_news = place == 0 or not is_first_answer
        try:
            _record_release(source, item, known.get(item.version), is_news=is_news)
        except (ReleaseDiffers, saga_errors.InvalidRequest) as exc:
            doubts.append(f"{item.version}: {exc.message}")
    return doubts


def _record_release(
    source: Source, item: sources.Found, known: Release | None, *, is_news: bool
) -> None:
    if known is None and item.is_withdrawn:
        return
    announcement = _announcement(item)
    if known is None or not _says_the_same(known, announcement):
        recording.judge(announcement)
        known, is_new = recording.record(source.service, announcement, origin=source.kind)
        if is_new and is_news:
            events.publish(
                event_constructors.release_announced(
                    source.service.name,
                    version=known.version,
                    origin=known.origin,
                    channel=known.channel,
                )
            )
    _follow_withdrawal(known, is_withdrawn=item.is_withdrawn)


def _announcement(item: sources.Found) -> recording.Announcement:
    return recording.Announcement(
        version=item.version,
        artifact_url=item.artifact_url,
        artifact_type=item.artifact_type,
        checksum=item.checksum,
        size_bytes=item.size_bytes,
        notes=item.notes,
        channel=item.channel,
        is_prerelease=item.is_prerelease,
        published_at=item.published_at,
    )


def _says_the_same(known: Release, announcement: recording.Announcement) -> bool:
    names = ("artifact_url", "checksum", "size_bytes", "published_at")
    return all(getattr(announcement, n) in ("", None, getattr(known, n)) for n in names)


def _follow_withdrawal(release: Release, *, is_withdrawn: bool) -> None:
    now = dt.datetime.now(dt.UTC)
    if is_withdrawn and release.state == Release.State.AVAILABLE:
        recording.move(release, to=Release.State.WITHDRAWN, reason=BY_ITS_SOURCE, at=now)
    elif not is_withdrawn and release.state_reason == BY_ITS_SOURCE:
        recording.move(release, to=Release.State.AVAILABLE, reason="", at=now)


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
        wakeups.ring("updates.check", service_id)
    return len(taken)
