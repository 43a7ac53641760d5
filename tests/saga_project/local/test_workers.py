"""What workers report: a task's request, its result, and their own heartbeats."""

from __future__ import annotations

import gc
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from celery import signals
from prometheus_client.parser import text_string_to_metric_families

from saga_project.local import queues, workers
from saga_project.shared import metrics
from saga_project.shared import redis as shared_redis
from webhooks import tasks


class Heart:
    """As much of Celery's Heart as a listener sees."""

    queues = SimpleNamespace(consume_from={"updates": None})
    eventer = SimpleNamespace(
        hostname="worker@host", app=SimpleNamespace(amqp=SimpleNamespace(queues=queues))
    )


def test_a_task_carries_the_request_that_enqueued_it(redis: Any) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-3"):
        tasks.purge.delay()

    message = json.loads(redis.lpop("webhooks"))
    assert message["headers"]["task"] == "webhooks.purge"
    assert message["headers"]["__django_structlog__"]["request_id"] == "req-3"


def test_a_tasks_lines_carry_that_request(redis: Any) -> None:
    context = {"__django_structlog__": {"request_id": "req-3"}}
    task = SimpleNamespace(name="webhooks.purge", request=SimpleNamespace(**context))

    signals.task_prerun.send(sender=None, task_id="task-1", task=task)

    bound = structlog.contextvars.get_contextvars()
    structlog.contextvars.clear_contextvars()
    assert bound["request_id"] == "req-3"
    assert bound["task_id"] == "task-1"


@pytest.mark.django_db
def test_a_task_is_counted_by_how_it_ended() -> None:
    task = SimpleNamespace(name="webhooks.purge", request=SimpleNamespace())
    before = _ended("webhooks.purge", "failure")

    signals.task_prerun.send(sender=None, task_id="task-2", task=task)
    signals.task_postrun.send(sender=None, task_id="task-2", task=task, state="FAILURE")
    structlog.contextvars.clear_contextvars()

    assert _ended("webhooks.purge", "failure") - before == 1


def _ended(task: str, state: str) -> float:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "saga_tasks_total" and sample.labels == {"task": task, "state": state}
    )


def test_worker_with_a_heartbeat_is_known(redis: Any) -> None:
    before = time.time()
    heart = Heart()

    signals.heartbeat_sent.send(sender=heart)

    assert before <= float(redis.hget(workers.WORKERS_KEY, "worker@host")) <= time.time()
    assert queues.unconsumed_seconds()["updates"] < 60
    assert queues.unconsumed_seconds()["webhooks"] == float("inf")


@pytest.mark.usefixtures("redis")
def test_worker_survives_an_outage_of_redis() -> None:
    shared_redis.breaker._open_until = time.monotonic() + 60
    try:
        workers._note_heartbeat(Heart())
    finally:
        shared_redis.breaker.close()


def test_a_worker_does_not_look_for_garbage_in_its_own_program() -> None:
    loaded = [object()]
    assert any(each is loaded for each in gc.get_objects())

    signals.worker_ready.send(sender=None)
    is_examined = any(each is loaded for each in gc.get_objects())
    gc.unfreeze()

    assert not is_examined
