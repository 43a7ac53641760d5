"""Prometheus metrics: instruments, and values that are read at a scrape.

Instruments count in files that all processes of a server share (``PROMETHEUS_MULTIPROC_DIR``, set in
settings), so that any web process answers for all, workers included. Labels have few values, all of them
known: never a service's name.

An app above adds what it knows of its own state (jobs by status, deliveries by state) in its ``apps.py``::

    metrics.at_scrape(figures.read)   # a function that yields prometheus_client Metric families
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django import db
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from saga_project.shared import errors

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Reader = Callable[[], Iterable[Metric]]

requests_total = Counter(
    "saga_http_requests", "Requests that Django answered.", ["method", "route", "status"]
)
request_seconds = Histogram(
    "saga_http_request_seconds",
    "How long Django took for an answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
expired_total = Counter("saga_instances_expired", "Instances that expired.")
tasks_total = Counter("saga_tasks", "Tasks that a worker ended.", ["task", "state"])
task_seconds = Histogram(
    "saga_task_seconds",
    "How long a task took.",
    ["task"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600),
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_readers: list[Reader] = []


def at_scrape(reader: Reader) -> None:
    """Have a function's figures in every scrape; while it cannot read them, the others are shown."""
    if reader not in _readers:
        _readers.append(reader)


def gauge(
    name: str, text: str, values: dict[str, float], *, label: str | None = None
) -> GaugeMetricFamily:
    """Return one figure, or one for each value of a label: ``{"queued": 3, "running": 1}``."""
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label] if label else [], value)
    return family


def counter(
    name: str, text: str, values: dict[str, float], *, label: str | None = None
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label] if label else [])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label] if label else [], value)
    return family


def exposition() -> bytes:
    """Return everything in Prometheus' text format."""
    registry = _instruments()
    registry.register(_AtScrape())
    return generate_latest(registry)


def serve(port: int, *, host: str) -> None:
    """Answer with the instruments of this host from a thread, where no web process does."""
    start_http_server(port, addr=host, registry=_instruments())


def _instruments() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Instruments())
    return registry


class _Instruments:
    """The instruments of all processes, but for files that are just being made.

    A process that is killed at that moment leaves an empty one, which prometheus_client's own collector
    cannot read, ever again.
    """

    def collect(self) -> Iterable[Metric]:
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        files = [str(path) for path in folder.glob("*.db") if _has_content(path)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return merged


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


class _AtScrape:
    """A collector that asks every reader, and says which of them could not answer."""

    def collect(self) -> Iterator[Metric]:
        failed: dict[str, float] = {}
        for reader in _readers:
            name = f"{reader.__module__}.{reader.__qualname__}"
            try:
                families = list(reader())
            except (errors.SagaError, db.Error) as exc:
                logger.info("figures cannot be read", extra={"reader": name, "error": str(exc)})
                families = []
            failed[name] = float(not families)
            yield from families
        yield gauge(
            "saga_scrape_failed", "Figures that could not be read now.", failed, label="reader"
        )


# --- Requests -------------------------------------------------------------------------------------


class RequestMetricsMiddleware:
    """Counts and times what Django answers, by route: the pattern, not the path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self.get_response(request)
        route = route_of(request)
        method = request.method if request.method in _METHODS else "other"
        requests_total.labels(method, route, response.status_code).inc()
        request_seconds.labels(route).observe(time.perf_counter() - begun)
        return response


def route_of(request: HttpRequest) -> str:
    """Return the route's pattern; all of the admin's addresses count as one."""
    match = request.resolver_match
    if match is None:
        return "unknown"
    return "/admin" if match.route.startswith("admin/") else f"/{match.route}"
