"""What every worker reports: log lines, results of tasks, and its own heartbeat."""

from __future__ import annotations

import gc
import time
from typing import Any

from celery import Task, signals
from django.conf import settings
from django_structlog.celery.receivers import CeleryReceiver

from saga_project.local import queues, watchdog
from saga_project.shared import errors, metrics, redis

WORKERS_KEY = "saga:workers"

_receiver = CeleryReceiver()
_begun: dict[str, float] = {}


def connect() -> None:
    """Connect Celery's signals in every process: an enqueued task carries the request's id."""
    _receiver.connect_worker_signals()
    signals.setup_logging.connect(_keep_logging)
    signals.task_prerun.connect(_note_begin)
    signals.task_postrun.connect(_note_end)
    signals.heartbeat_sent.connect(_note_heartbeat)
    signals.worker_ready.connect(serve_metrics)
    signals.worker_ready.connect(_keep_the_program)
    signals.worker_ready.connect(watchdog.begin)


def _keep_logging(**_: Any) -> None:
    """Keep Celery from configuring logging again; a connected receiver is enough."""


def _note_begin(task_id: str, **_: Any) -> None:
    _begun[task_id] = time.perf_counter()


def _note_end(task_id: str, task: Task[Any, Any], state: str | None = None, **_: Any) -> None:
    metrics.tasks_total.labels(task.name, (state or "unknown").lower()).inc()
    if (begun := _begun.pop(task_id, None)) is not None:
        metrics.task_seconds.labels(task.name).observe(time.perf_counter() - begun)


def _note_heartbeat(sender: Any, **_: Any) -> None:
    note_life(sender.eventer.hostname)
    queues.note_consumer(sender.eventer.app.amqp.queues.consume_from)


def note_life(name: str) -> None:
    """Record that this worker lives."""
    try:
        with redis.breaker.guard():
            redis.connection().hset(WORKERS_KEY, name, time.time())
    except errors.RedisUnavailable:
        return  # Without Redis there is no work either; this worker's next heartbeat records it.


def _keep_the_program(**_: Any) -> None:
    """Look for garbage in what tasks leave, not in all that was loaded: long sweeps do so several times."""
    gc.freeze()


def serve_metrics(**_: Any) -> None:
    if settings.SAGA_WORKER_METRICS_PORT:
        metrics.serve(settings.SAGA_WORKER_METRICS_PORT, host=settings.HOST)
