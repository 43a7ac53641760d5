"""What the console has to show in tests and on screenshots: real rows, made by the real operations."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import importlib
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.utils import timezone
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import updates.operations
import webhooks.operations
from registry import operations as registry
from registry.models import Event, Service, Subscription
from tests import factories
from tests.updates.artifacts.archives import hostile
from updates.models import Job, Policy, Release, Target
from updates.rollouts import runner
from webhooks.models import Attempt, Delivery, receiver_of

PASSWORD = "correct horse battery"
ROLES = {
    "vera": "viewers",
    "otto": "operators",
    "olga": "operators",
    "anna": "approvers",
    "adam": "administrators",
}
GRANTS = (
    ("registry.migrations.0004_make_roles"),
    ("updates.migrations.0009_make_roles"),
    ("webhooks.migrations.0002_make_roles"),
    ("webhooks.migrations.0004_let_roles_see_github_hooks"),
)


def people() -> dict[str, User]:
    """Make one member of staff of each role, with what the migrations grant."""
    for module in GRANTS:
        for operation in importlib.import_module(module).Migration.operations:
            operation.code(apps, None)
    found = {}
    for name, role in ROLES.items():
        found[name] = User.objects.create(username=name, password=_hashed(), is_staff=True)
        found[name].groups.add(Group.objects.get(name=role))
    return found


@functools.cache
def _hashed() -> str:
    """Return the password as all of them have it: working that out takes a while."""
    return make_password(PASSWORD)


def service(name: str, version: str = "1.0.0", *, instances: int = 1, **fields: Any) -> Service:
    """Register a service with live instances."""
    for number in range(1, instances + 1):
        registration = registry.Registration(
            service_name=name,
            url=f"http://10.20.0.{number}:8000",
            capabilities=["rest"],
            instance_id=f"{name}-{number}",
            version=version,
            zone=f"eu-{1 + number % 2}",
            ttl_seconds=3600,
        )
        registry.register(registration, by=None, now=timezone.now())
    if fields:
        Service.objects.filter(name=name).update(**fields)
    return Service.objects.get(name=name)


def silence(name: str) -> None:
    """Remove a service, as an expiry does."""
    row = Service.objects.get(name=name)
    registry.deregister(name, by=None, now=timezone.now())
    Service.objects.filter(pk=row.pk).update(status=Service.Status.ACTIVE)
    row.instances.update(state="expired")


@dataclass
class Artifacts:
    """A server with releases of services, good ones and bad ones."""

    server: HTTPServer

    def sickened_by(self, version: str) -> str:
        """Return a health URL, to be ended by "/service/target", that is ill while the version is current."""

        def answer(request: Request) -> Response:
            target = request.path.removeprefix("/health/")
            file = Path(settings.SAGA_INSTALL_ROOT) / target / "current" / "VERSION"
            is_sick = file.exists() and file.read_text() == version
            return Response("ill" if is_sick else "ok", status=503 if is_sick else 200)

        self.server.expect_request(re.compile("/health/")).respond_with_handler(answer)
        return self.server.url_for("/health")

    def announce(self, name: str, version: str, *, is_broken: bool = False) -> Release:
        files = {"VERSION": version.encode(), "bin/run": b"#!/bin/sh\n"}
        data = hostile.good_tar_gz(files)
        path = f"/{name}-{version}.tar.gz"
        self.server.expect_request(path).respond_with_data(data)
        digest = "0" * 64 if is_broken else hashlib.sha256(data).hexdigest()
        announcement = updates.operations.Announcement(
            version=version,
            artifact_url=self.server.url_for(path),
            checksum=f"sha256:{digest}",
            notes=f"What is new in {version}.",
        )
        return updates.operations.announce(registry.ensure_service(name), announcement, by="ci")


def targets(name: str, count: int, *, health_url: str = "") -> None:
    row = Service.objects.get(name=name)
    for number in range(1, count + 1):
        Target.objects.create(
            service=row,
            name=f"{name}-{number}",
            position=number,
            zone=f"eu-{1 + number % 2}",
            instance_id=f"{name}-{number}",
            health_url=health_url and f"{health_url}/{name}/{name}-{number}",
            health_interval_seconds=1,
            health_successes=1,
            healthy_deadline_seconds=2,
        )


def deploy(
    name: str, version: str, *, strategy: str = "rolling", by: str = "ci", **options: Any
) -> Job:
    """Deploy a release that was announced, as far as it goes without waiting."""
    job = updates.operations.deploy(
        Service.objects.get(name=name),
        updates.operations.Announcement(version=version),
        by=by,
        strategy=strategy,
        options=options,
    )
    return work(job)


def work(job: Job) -> Job:
    """Do what a worker of this node does."""
    runner.run(job.pk, node="local")
    job.refresh_from_db()
    return job


def dead_delivery(url: str, *, name: str = "billing", at: dt.datetime | None = None) -> Delivery:
    now = at or timezone.now()
    row = Delivery.objects.create(
        kind=Delivery.Kind.NOTIFICATION,
        service_name=name,
        topic="ops",
        url=url,
        receiver=receiver_of(url),
        payload={"type": "notification", "message": "Disk is almost full"},
        status=Delivery.Status.DEAD,
        reason="The receiver answered 503 to the last of 7 attempts.",
        attempt_count=7,
        next_attempt_at=now,
        created_at=now - dt.timedelta(hours=39),
        finished_at=now,
    )
    for hours in (39, 38, 36, 30, 20, 8, 0):
        Attempt.objects.create(
            delivery=row,
            started_at=now - dt.timedelta(hours=hours),
            duration_ms=120 + hours,
            status=503,
            answer="upstream connect error",
        )
    return row


# --- The whole picture, for screenshots -----------------------------------------------------------


def everything(artifacts: Artifacts) -> None:
    """Fill an empty Saga with a working day of a small company."""
    random.seed(7)
    people()
    now = timezone.now()
    _yesterday(now)
    for name, version, count in (
        ("billing", "2.4.1", 3),
        ("catalog", "1.10.0", 2),
        ("checkout", "3.0.2", 4),
        ("identity", "5.1.0", 2),
        ("search", "0.9.4", 2),
        ("mailer", "1.2.0", 1),
        ("reports", "0.3.0", 1),
    ):
        service(name, version, instances=count)
    registry.record_health("search", status="degraded", at=now)
    beat = registry.Heartbeat(
        service_name="checkout", instance_id="checkout-2", health="warning", note="queue is long"
    )
    registry.renew(beat, by=None, now=now)
    silence("mailer")
    Service.objects.filter(name="reports").update(status=Service.Status.PENDING_APPROVAL)
    Service.objects.filter(name="checkout").update(
        description="Takes orders and payments.",
        contact_email="shop-team@example.com",
        notes="Runbook: drain in the load balancer first.\nOn call: the shop team.",
    )
    _fortnight(now)
    _deployments(artifacts)
    _webhooks(artifacts, now)
    _dependants()


def _yesterday(now: dt.datetime) -> None:
    """Events of the last day, which the strips are drawn from."""
    story = [
        ("checkout", 23.5, "service.registered", {"instance_id": "checkout-1", "version": "3.0.1"}),
        ("checkout", 23.4, "service.registered", {"instance_id": "checkout-2", "version": "3.0.1"}),
        (
            "checkout",
            15.0,
            "health.changed",
            {"instance_id": "checkout-2", "old": "passing", "new": "critical"},
        ),
        (
            "checkout",
            13.9,
            "health.changed",
            {"instance_id": "checkout-2", "old": "critical", "new": "passing"},
        ),
        ("checkout", 6.2, "service.expired", {"instance_id": "checkout-1"}),
        ("checkout", 6.1, "service.expired", {"instance_id": "checkout-2"}),
        ("checkout", 5.6, "service.registered", {"instance_id": "checkout-1", "version": "3.0.2"}),
        ("checkout", 5.5, "service.registered", {"instance_id": "checkout-2", "version": "3.0.2"}),
    ]
    Event.objects.bulk_create(
        Event(type=type_, service_name=name, occurred_at=now - dt.timedelta(hours=hours), data=data)
        for name, hours, type_, data in story
    )


def _fortnight(now: dt.datetime) -> None:
    """Two weeks of updates."""
    names = ("billing", "catalog", "checkout", "identity", "search")
    statuses = ["success"] * 9 + ["rolled_back", "failed"]
    for number in range(46):
        at = now - dt.timedelta(hours=7 * number + random.randint(1, 6))
        status = random.choice(statuses)
        old, new = f"1.{60 - number}.0", f"1.{61 - number}.0"
        factories.HistoryEntryFactory.create(
            service_name=names[number % len(names)],
            status=status,
            old_version=old,
            new_version=new,
            running_version=new if status == "success" else old,
            timestamp=at,
            started_at=at - dt.timedelta(seconds=140),
            released_at=at - dt.timedelta(minutes=random.randint(20, 400)),
            duration_seconds=random.randint(20, 180),
            recorded_by="ci",
        )


def _deployments(artifacts: Artifacts) -> None:
    health_url = artifacts.sickened_by("2.5.0")
    for name, version in (("catalog", "1.10.0"), ("checkout", "3.0.2"), ("billing", "2.4.1")):
        targets(name, 4 if name == "checkout" else 2, health_url=health_url)
        artifacts.announce(name, version)
        deploy(name, version, by="ci", max_unavailable=2)
    artifacts.announce("checkout", "3.1.0")
    deploy(
        "checkout",
        "3.1.0",
        strategy="canary",
        by="otto",
        steps=[{"weight": 25, "pause_seconds": None}, {"weight": 50, "pause_seconds": 300}],
    )
    artifacts.announce("billing", "2.5.0")
    deploy("billing", "2.5.0", by="otto", max_unavailable=1)
    release = artifacts.announce("identity", "5.2.0")
    identity = Service.objects.get(name="identity")
    Policy.objects.create(service=identity, kind=Policy.Kind.APPROVE, requires_second_person=True)
    updates.operations.request_approval(release, by="otto", strategy="rolling", now=timezone.now())


def _webhooks(artifacts: Artifacts, now: dt.datetime) -> None:
    webhooks.operations.configure(
        "billing",
        endpoints={
            "slack": artifacts.server.url_for("/chat"),
            "ops": artifacts.server.url_for("/ops"),
        },
        secret="a secret that is shown nowhere",
        now=now,
    )
    for minutes in (5, 50, 90):
        dead_delivery(artifacts.server.url_for("/ops"), at=now - dt.timedelta(minutes=minutes))


def _dependants() -> None:
    checkout = Service.objects.get(name="checkout")
    for subscriber, url in (("web-shop", "https://shop.example.com/hooks"), ("billing", "")):
        Subscription.objects.create(
            service=checkout, subscriber=subscriber, callback_url=url, topics=["service.*"]
        )
