"""Health: for dashboards (/health) and for orchestrators (/livez, /readyz).

Each probe has one thread and a deadline: a server that is frozen costs the answer a second, not its
answering, and never more than one thread.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django import db
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import directory, presence
from registry.background import protection
from saga_project.local import queues
from saga_project.shared import api, counters, errors, redis, timestamps
from saga_project.web import problems
from saga_project.web.problems import Level, Problem
from webhooks.outbound import claims

PROBE_SECONDS = 0.85


class Probe:
    """Probes one server in a thread of its own; one probe at a time."""

    def __init__(self, name: str, ask: Callable[[], Any]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"probe-{name}")
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[Any] | None = None

    def begin(self) -> Future[Any]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._thread.submit(self._ask)
            return self._asked


@dataclass(frozen=True)
class DatabaseState:
    is_read_only: bool
    undelivered_seconds: float


def _ask_database() -> DatabaseState | None:
    try:
        with db.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')::bool")
            (is_read_only,) = cursor.fetchone()
        return DatabaseState(is_read_only, claims.undelivered_seconds())
    except db.Error:
        return None
    finally:
        db.connections.close_all()


def _ask_redis() -> bool:
    try:
        with redis.breaker.guard():
            return bool(redis.connection().ping())
    except errors.RedisUnavailable:
        return False


def _ask_presence() -> bool:
    """Return whether presence is filled; an empty Redis answers but holds no instance."""
    try:
        with redis.breaker.guard():
            return bool(redis.connection().hexists(presence.META, "born"))
    except errors.RedisUnavailable:
        return False


def _ask_protection() -> dict[str, Any] | None:
    try:
        with redis.breaker.guard():
            return protection.state()
    except errors.RedisUnavailable:
        return None


def _ask_queues() -> dict[str, float] | None:
    try:
        return queues.unconsumed_seconds()
    except errors.RedisUnavailable:
        return None


_database = Probe("database", _ask_database)
_redis = Probe("redis", _ask_redis)
_presence = Probe("presence", _ask_presence)
_protection = Probe("protection", _ask_protection)
_queues = Probe("queues", _ask_queues)
_memory = problems.Memory()


@dataclass(frozen=True)
class Health:
    is_database_connected: bool
    is_redis_connected: bool
    is_presence_filled: bool
    protection: dict[str, Any] | None
    problems: Sequence[Problem]

    @property
    def level(self) -> Level:
        if not (self.is_database_connected and self.is_redis_connected):
            return Level.UNHEALTHY
        return max((problem.level for problem in self.problems), default=Level.HEALTHY)


def examine() -> Health:
    """Start all probes at once; a server that misses the deadline counts as disconnected."""
    probes = (_database, _redis, _presence, _protection, _queues)
    asked = [probe.begin() for probe in probes]
    deadline = time.monotonic() + PROBE_SECONDS
    database, redis, filled, protection, consumed = (_result(each, deadline) for each in asked)
    found = problems.evaluate(_health_inputs(database, redis, protection, consumed), _memory)
    return Health(bool(database), bool(redis), bool(filled), protection or None, found)


def _health_inputs(
    database: DatabaseState | None,
    is_redis_connected: bool | None,
    protection: dict[str, Any] | None,
    unconsumed_seconds: dict[str, float] | None,
) -> problems.HealthInputs:
    lag = protection_body(protection)["sweep_lag_seconds"]
    return problems.HealthInputs(
        sweep_lag_seconds=(math.inf if lag is None else lag) if is_redis_connected else None,
        unconsumed_seconds=unconsumed_seconds or {},
        undelivered_seconds=database.undelivered_seconds if database else 0.0,
        is_database_read_only=database is not None and database.is_read_only,
    )


def _result(future: Future[Any], deadline: float) -> Any:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return None


# --- What is shown --------------------------------------------------------------------------------


def publish_counters() -> None:
    """Publish the size of this process's cache to the other processes; called every second."""
    own = directory.cache_counters()
    counters.cells[counters.SIZE] = own.size
    if own.last_refresh_at is not None:
        counters.cells[counters.REFRESHED_US] = timestamps.microseconds(own.last_refresh_at)


def cache_body() -> dict[str, Any]:
    """Return the figures of the read caches of all web processes of this server, together."""
    publish_counters()
    every = counters.of_all_processes()
    hits = sum(cells[counters.HITS] for cells in every)
    misses = sum(cells[counters.MISSES] for cells in every)
    refreshed_us = max(cells[counters.REFRESHED_US] for cells in every)
    return {
        "size": max(cells[counters.SIZE] for cells in every),
        "hits": hits,
        "misses": misses,
        "hit_ratio": round(hits / (hits + misses), 4) if hits + misses else 0.0,
        "last_refresh": _zulu(timestamps.at(refreshed_us)) if refreshed_us else None,
    }


def _zulu(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def protection_body(state: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the last sweep for expired instances saw; unknown where none ran for a minute."""
    if state is None:
        return {"mode": "unknown", "suspects": None, "instances": None, "sweep_lag_seconds": None}
    lag_us = max(0, directory.now_us() - state["swept_us"])
    return {
        "mode": "protecting" if state["is_protecting"] else "normal",
        "suspects": state["suspects"],
        "instances": state["instances"],
        "sweep_lag_seconds": round(lag_us / 1_000_000, 1),
    }


class CacheSerializer(serializers.Serializer[Any]):
    size = serializers.IntegerField(help_text="Services cached in memory.")
    hits = serializers.IntegerField(help_text="Lookups answered from memory.")
    misses = serializers.IntegerField(help_text="Lookups that asked Redis.")
    hit_ratio = serializers.FloatField(help_text="hits / (hits + misses); 0.0 before the first.")
    last_refresh = serializers.DateTimeField(
        allow_null=True, help_text="When the cache last took over a change from Redis."
    )


class ProtectionSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(
        choices=["normal", "protecting", "unknown"],
        help_text="'protecting' while too many would expire at once; 'unknown' while no sweep runs.",
    )
    suspects = serializers.IntegerField(allow_null=True)
    instances = serializers.IntegerField(allow_null=True)
    sweep_lag_seconds = serializers.FloatField(allow_null=True)


class ProblemSerializer(serializers.Serializer[Any]):
    check = serializers.ChoiceField(choices=["sweeps", "queues", "deliveries", "database"])
    status = serializers.ChoiceField(choices=["degraded", "unhealthy"])
    message = serializers.CharField(help_text="What does not work, and what to do.")


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(
        choices=["healthy", "degraded", "unhealthy"],
        help_text="'degraded' is still 200: sweeps are over 5 s late, or work waits without a worker."
        " 'unhealthy' is 503: over 30 s, PostgreSQL read-only, or a server is gone.",
    )
    service = serializers.CharField()
    version = serializers.CharField()
    redis = serializers.ChoiceField(choices=["connected", "disconnected"])
    database = serializers.ChoiceField(choices=["connected", "disconnected"])
    cache = CacheSerializer()
    protection = ProtectionSerializer()
    problems = ProblemSerializer(
        many=True, required=False, help_text="Absent where there are none."
    )


class OpenView(api.SagaView):
    """Needs no token, so that it answers while the database is unavailable."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()


class HealthView(OpenView):
    @extend_schema(
        operation_id="health",
        summary="Whether Saga, Redis and the database are well",
        tags=["health"],
        auth=[],
        responses={200: HealthSerializer, 503: HealthSerializer},
    )
    def get(self, request: Request) -> Response:
        health = examine()
        body: dict[str, Any] = {
            "status": health.level.word,
            "service": settings.SERVICE_NAME,
            "version": settings.SAGA_VERSION,
            "redis": _word(is_connected=health.is_redis_connected),
            "database": _word(is_connected=health.is_database_connected),
            "cache": cache_body(),
            "protection": protection_body(health.protection),
        }
        if health.problems:
            body["problems"] = [
                {"check": each.check, "status": each.level.word, "message": each.message}
                for each in health.problems
            ]
        is_served = health.level < Level.UNHEALTHY
        return _uncached(Response(body, status=200 if is_served else 503))


class LivenessView(OpenView):
    """This process answers; nothing else is asked, since its restart could repair nothing else."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return _uncached(Response({"status": "alive"}))


class ReadinessView(OpenView):
    """Requests can be served: lookups and heartbeats need a filled Redis, and go on without the database."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        health = examine()
        is_ready = health.is_presence_filled
        body: dict[str, Any] = {
            "status": "ready" if is_ready else "not ready",
            "redis": _word(is_connected=health.is_redis_connected),
            "database": _word(is_connected=health.is_database_connected),
        }
        return _uncached(Response(body, status=200 if is_ready else 503))


def _word(*, is_connected: bool) -> str:
    return "connected" if is_connected else "disconnected"


def _uncached(response: Response) -> Response:
    response["Cache-Control"] = "no-store"
    return response
