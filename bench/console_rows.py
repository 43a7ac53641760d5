"""The rows that ``bench.console_pages`` looks at: a company of 1,000 services after a few busy months."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from registry.models import Service, ServiceAccount, Subscription, Token
from updates.models import Approval, AuditEntry, Job, Policy, Release, Source, Step, Target
from webhooks.models import Attempt, Configuration, Delivery, Endpoint, InboundCall

JOBS = 3000
LIVE_JOBS = 8
TARGETS = 4
DELIVERIES = 20_000
DEAD = 300
CALLS = 20_000
AUDITED = 10_000
STEPS = ("drain", "switch", "restart", "health", "undrain")
STATEMENTS = (
    """INSERT INTO registry_service (service_id, name, display_name, description, app_id, category,
        contact_email, health_check_url, capabilities, endpoints, metadata, heartbeat_interval_seconds,
        version, previous_version, status, status_reason, health_status, consecutive_misses,
        is_auto_approved, approved_by,
        registered_at, updated_at, canary_version, notes, revision)
    SELECT gen_random_uuid(), 'service-' || n, '', '', '', '', '', '', '["rest"]', '{}', '{}', 30,
        '1.0.0', '',
        CASE WHEN n %% 50 = 0 THEN 'pending_approval' WHEN n %% 20 = 0 THEN 'degraded' ELSE 'active' END,
        '', 'healthy', 0, true, '', now() - interval '30 days', now(), '', '', 1
    FROM generate_series(1, %(services)s) AS n""",
    """INSERT INTO registry_instance (service_id, instance_id, url, capabilities, version, metadata,
        health_check_url, weight, zone, ttl_seconds, state, health, note, is_draining, registered_at,
        last_heartbeat_at)
    SELECT id, 'one', 'http://10.0.0.1:8000', '["rest"]', '1.0.0', '{}', '', 1, 'eu', 3600,
        CASE WHEN id %% 10 = 0 THEN 'expired' ELSE 'live' END, 'passing', '', false,
        now() - interval '30 days', now()
    FROM registry_service""",
    """INSERT INTO registry_event (type, service_name, occurred_at, data)
    SELECT (ARRAY['service.registered', 'health.changed', 'service.expired', 'lifecycle.started'])
            [1 + n %% 4],
        'service-' || 1 + n %% %(services)s, now() - interval '30 days' * (1 - n::float / %(events)s),
        '{"instance_id": "one", "old": "passing", "new": "warning"}'
    FROM generate_series(1, %(events)s) AS n""",
    """INSERT INTO updates_historyentry (service_name, kind, status, old_version, new_version,
        running_version, timestamp, started_at, released_at, duration_seconds, detail, recorded_by,
        recorded_at)
    SELECT 'service-' || 1 + n %% %(services)s, 'deploy',
        CASE WHEN n %% 20 = 0 THEN 'failed' ELSE 'success' END, '1.0.0', '1.0.1', '1.0.1',
        at, at - interval '40 s', at - interval '1 day', 40, '', 'bench', now()
    FROM generate_series(1, %(events)s / 5) AS n,
        LATERAL (SELECT now() - interval '60 days' * (1 - n * 5.0 / %(events)s)) AS of(at)""",
)


def fill(*, services: int, events: int, password: str) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement, {"services": services, "events": events})
    known = list(Service.objects.order_by("pk"))
    _registry(known)
    _updates(known, now)
    _webhooks(known, now)
    get_user_model().objects.create_superuser("bench", password=password)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _ago(now: dt.datetime, number: int, of: int) -> dt.datetime:
    """Spread ``of`` moments over 30 days; the first is the newest."""
    return now - dt.timedelta(days=30) * number / of


def _cycle(services: list[Service], count: int) -> Iterable[tuple[int, Service]]:
    return ((number, services[number % len(services)]) for number in range(count))


def _registry(services: list[Service]) -> None:
    Subscription.objects.bulk_create(
        Subscription(service=service, subscriber=f"reader-{number}", topics=["service.*"])
        for number, service in _cycle(services, 2 * len(services))
    )
    accounts = ServiceAccount.objects.bulk_create(
        ServiceAccount(name=f"team-{number}", scopes=["services:write"]) for number in range(200)
    )
    Token.objects.bulk_create(
        Token(account=account, name="ci", prefix=f"saga_{account.pk}", digest=f"{account.pk:064}")
        for account in accounts
    )


def _updates(services: list[Service], now: dt.datetime) -> None:
    releases = Release.objects.bulk_create(
        Release(
            service=service,
            version=f"1.{number}.0",
            artifact_url="https://ci.example/a.tar.gz",
            origin="announced",
            recorded_at=_ago(now, number, 5 * len(services)),
        )
        for number, service in _cycle(services, 5 * len(services))
    )
    Policy.objects.bulk_create(Policy(service=service, kind="approve") for service in services)
    Source.objects.bulk_create(
        Source(service=service, kind="pypi", location=service.name) for service in services
    )
    Target.objects.bulk_create(
        Target(service=service, name=f"{service.name}-{number}")
        for service in services
        for number in range(TARGETS)
    )
    Approval.objects.bulk_create(
        Approval(
            service=release.service,
            release=release,
            state="pending" if number < 20 else "approved",
            requested_at=_ago(now, number, 500),
        )
        for number, release in enumerate(releases[:500])
    )
    _jobs(services, now)
    AuditEntry.objects.bulk_create(
        AuditEntry(
            sequence=number,
            at=_ago(now, AUDITED - number, AUDITED),
            actor="ann",
            action="job.requested",
            service_name=service.name,
            data={"what": "deploy"},
        )
        for number, service in _cycle(services, AUDITED)
        if number
    )


def _jobs(services: list[Service], now: dt.datetime) -> None:
    jobs = Job.objects.bulk_create(
        Job(
            job_id=f"deploy-{service.name}-{number}",
            kind=Job.Kind.DEPLOY,
            service=service,
            version="1.1.0",
            previous_version="1.0.0",
            strategy="rolling",
            status=Job.Status.PAUSED if number < LIVE_JOBS else Job.Status.SUCCEEDED,
            moves=[
                {"action": "update", "target": "a", "wave": 1 + wave} for wave in range(TARGETS)
            ],
            created_at=_ago(now, number, JOBS),
            started_at=_ago(now, number, JOBS),
        )
        for number, service in _cycle(services, JOBS)
    )
    Step.objects.bulk_create(
        (_step(job, position, now) for job in jobs for position in range(TARGETS * len(STEPS))),
        batch_size=5000,
    )


def _step(job: Job, position: int, now: dt.datetime) -> Step:
    wave, number = divmod(position, len(STEPS))
    return Step(
        job=job,
        position=position,
        name=STEPS[number],
        target_name=f"{job.service.name}-{wave}",
        node="local",
        move=wave,
        status=Step.Status.SUCCEEDED,
        message="As it should be.",
        started_at=now,
        finished_at=now,
    )


def _webhooks(services: list[Service], now: dt.datetime) -> None:
    configurations = Configuration.objects.bulk_create(
        Configuration(service=service, configured_at=now) for service in services
    )
    Endpoint.objects.bulk_create(
        Endpoint(configuration=configuration, channel=channel, url="https://hooks.example/a")
        for configuration in configurations
        for channel in ("ops", "slack")
    )
    InboundCall.objects.bulk_create(
        (_call(service, _ago(now, number, CALLS)) for number, service in _cycle(services, CALLS)),
        batch_size=5000,
    )
    deliveries = Delivery.objects.bulk_create(
        (
            _delivery(service, _ago(now, number, DELIVERIES), is_dead=number < DEAD)
            for number, service in _cycle(services, DELIVERIES)
        ),
        batch_size=5000,
    )
    Attempt.objects.bulk_create(
        (
            Attempt(delivery=row, started_at=row.created_at, duration_ms=20, status=200)
            for row in deliveries
        ),
        batch_size=5000,
    )


def _call(service: Service, at: dt.datetime) -> InboundCall:
    return InboundCall(
        route="health",
        service_name=service.name,
        request_digest="0" * 64,
        proof="nothing",
        body='{"status": "healthy"}',
        verdict=InboundCall.Verdict.ACCEPTED,
        status=200,
        received_at=at,
    )


def _delivery(service: Service, at: dt.datetime, *, is_dead: bool) -> Delivery:
    known: dict[str, Any] = {
        "kind": Delivery.Kind.NOTIFICATION,
        "service_name": service.name,
        "topic": "ops",
        "url": "https://hooks.example/a",
        "receiver": "hooks.example",
        "payload": {"message": "Disk is almost full"},
        "next_attempt_at": at,
        "created_at": at,
        "finished_at": at,
    }
    status = Delivery.Status.DEAD if is_dead else Delivery.Status.DELIVERED
    return Delivery(status=status, **known)
