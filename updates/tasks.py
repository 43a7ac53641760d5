"""The queues ``updates`` and ``node.<name>``: the tasks that wake-ups start."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from celery import shared_task, signals
from django import db
from django.conf import settings
from django.utils import timezone

from registry.models import Service
from registry.operations import encryption_keys
from saga_project.shared import stopping
from updates import operations
from updates.releases import checks
from updates.rollouts import leases, measuring, nodes, recovery, removals, runner, watching


@shared_task(name="updates.run_job")
def run_job(job_pk: int) -> None:
    runner.run(job_pk, node=settings.SAGA_NODE_NAME)


@shared_task(name="updates.watch")
def watch(job_pk: int) -> None:
    watching.make_round(job_pk, node=settings.SAGA_NODE_NAME)


@shared_task(name="updates.measure")
def measure(job_pk: int) -> None:
    measuring.make_round(job_pk)


@shared_task(name="updates.check")
def check(service_pk: int) -> None:
    checks.check_by_schedule(Service.objects.get(pk=service_pk), now=timezone.now())


@shared_task(name="updates.enqueue_checks")
def enqueue_checks() -> None:
    checks.enqueue_due()


@shared_task(name="updates.apply_policy")
def apply_policy(service_pk: int) -> None:
    operations.apply_policy(Service.objects.get(pk=service_pk), now=timezone.now())


@shared_task(name="updates.stop_target")
def stop_target(target_pk: int) -> None:
    removals.stop(target_pk)


@shared_task(name="updates.forward_audit")
def forward_audit() -> None:
    operations.forward_audit()


@shared_task(name="updates.apply_policies")
def apply_policies() -> None:
    operations.apply_policies(now=timezone.now())


@signals.worker_init.connect
def refuse_missing_keys(**_: Any) -> None:
    """End a worker that could not read the secrets that its tasks need."""
    complaint = encryption_keys.describe_missing()
    db.connections.close_all()
    if complaint:
        raise SystemExit(complaint)


@signals.celeryd_after_setup.connect
def claim_nodes(instance: Any, **_: Any) -> None:
    """End a worker whose node is another host's."""
    if complaint := nodes.claim(instance.app.amqp.queues.consume_from):
        raise SystemExit(complaint)


@signals.worker_shutting_down.connect
def hand_over(**_: Any) -> None:
    """Give jobs to other workers: steps end at their next checkpoint, or with this process in the end."""
    stopping.begin()
    leases.interrupt_held()
    threading.Thread(target=_end_in_time, name="saga-shutdown", daemon=True).start()


def _end_in_time() -> None:
    time.sleep(settings.SAGA_SHUTDOWN_SECONDS)
    try:
        leases.release_held()
    finally:
        os._exit(0)


@signals.heartbeat_sent.connect
def note_life(sender: Any, **_: Any) -> None:
    nodes.note_life(sender.eventer.app.amqp.queues.consume_from)


@signals.worker_ready.connect
def take_up_what_was_left(**_: Any) -> None:
    """A worker that starts anew frees what its predecessor, killed on this machine, still holds."""
    try:
        recovery.sweep()
    finally:
        db.connections.close_all()
