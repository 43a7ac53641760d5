"""GET /metrics: what Prometheus reads, with the state of the whole registry in it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from rest_framework.request import Request

from registry import directory
from registry.background import check_metrics, protection
from saga_project.local import queues, workers
from saga_project.shared import api, counters, metrics, redis
from saga_project.web import health

WORKER_FORGOTTEN_SECONDS = 600


class MetricsView(api.SagaView):
    required_scopes = {"GET": "services:read"}
    throttle_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def read_cache() -> Iterable[Metric]:
    every = counters.of_all_processes()
    lookups = {
        "hit": float(sum(cells[counters.HITS] for cells in every)),
        "miss": float(sum(cells[counters.MISSES] for cells in every)),
    }
    answers = CounterMetricFamily(
        "saga_fast_path_answers", "Requests answered before Django.", labels=["route", "status"]
    )
    for route, cell in counters.FAST_PATH.items():
        for status, further in (("200", 0), ("503", counters.UNAVAILABLE)):
            answers.add_metric(
                [route, status], float(sum(cells[cell + further] for cells in every))
            )
    yield metrics.counter("saga_cache_lookups", "Lookups, by source.", lookups, label="result")
    yield answers
    yield metrics.gauge(
        "saga_cache_services", "Services cached in memory.", {"": directory.cache_counters().size}
    )
    waiting = {
        "stream": float(sum(cells[counters.STREAMS] for cells in every)),
        "long_poll": float(sum(cells[counters.LONG_POLLS] for cells in every)),
    }
    yield metrics.gauge("saga_viewers", "Readers that follow the events.", waiting, label="kind")
    yield metrics.gauge("saga_web_processes", "Live web processes.", {"": len(every)})
    yield metrics.gauge(
        "saga_cache_coherent",
        "Whether the process that answers this may serve from memory.",
        {"": float(directory.is_whole())},
    )


def read_registry() -> Iterable[Metric]:
    now_us = directory.now_us()
    services = directory.all_services()
    live = sum(len(entry.live(now_us)) for entry in services)
    yield metrics.gauge("saga_live_services", "Services in lookups.", {"": len(services)})
    yield metrics.gauge("saga_live_instances", "Their live instances.", {"": live})


def read_protection() -> Iterable[Metric]:
    """Sweeps: how long ago the last one was, and whether it held instances back."""
    with redis.breaker.guard():
        state = protection.state()
    lag = (directory.now_us() - state["swept_us"]) / 1_000_000 if state else float("inf")
    is_protecting = bool(state and state["is_protecting"])
    suspects = state["suspects"] if state else 0
    yield metrics.gauge("saga_sweep_lag_seconds", "Since the last sweep.", {"": max(0.0, lag)})
    yield metrics.gauge(
        "saga_protection_active", "Whether mass expiry is held back.", {"": float(is_protecting)}
    )
    yield metrics.gauge("saga_suspect_instances", "Instances held back.", {"": suspects})


def read_health() -> Iterable[Metric]:
    """The same judgement as /health: 0 healthy, 1 degraded, 2 unhealthy."""
    found = health.examine()
    levels = dict.fromkeys(("sweeps", "queues", "deliveries", "database"), 0.0)
    for problem in found.problems:
        levels[problem.check] = max(levels[problem.check], float(problem.level))
    yield metrics.gauge(
        "saga_health", "0 healthy, 1 degraded, 2 unhealthy.", {"": float(found.level)}
    )
    yield metrics.gauge("saga_health_problem", "The same for one check.", levels, label="check")


def read_queues() -> Iterable[Metric]:
    """How many tasks wait, and when each worker last reported."""
    with redis.breaker.guard():
        pipeline = redis.connection().pipeline(transaction=False)
        for queue in queues.local():
            pipeline.llen(queue)
        pipeline.hgetall(workers.WORKERS_KEY)
        *depths, seen = pipeline.execute()
    now = time.time()
    silent = {name.decode(): now - float(at) for name, at in seen.items()}
    yield metrics.gauge(
        "saga_queue_depth",
        "Tasks that wait for a worker.",
        dict(zip(queues.local(), map(float, depths), strict=True)),
        label="queue",
    )
    yield metrics.gauge(
        "saga_worker_silent_seconds",
        "Since the worker last reported.",
        {name: age for name, age in silent.items() if age < WORKER_FORGOTTEN_SECONDS},
        label="worker",
    )


for reader in (
    read_cache,
    read_registry,
    read_protection,
    read_health,
    read_queues,
    check_metrics.read,
):
    metrics.at_scrape(reader)
