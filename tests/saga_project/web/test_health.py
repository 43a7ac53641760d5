"""Health of real web processes while Redis and PostgreSQL fail in every way and recover."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
import requests
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from rest_framework.test import APIClient

from registry import presence
from registry.background import expiry, protection
from saga_project.local import queues
from saga_project.web import health, problems
from tests import waiting
from tests.factories import ServiceFactory
from tests.failing import SERVICE, Stack
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)
HEALTH = "/api/v1/health"
#: The promise is one second. The rest is for a busy machine; without a deadline no answer would come at all.
REDIS_GONE_SECONDS = 10.0


def test_health_is_as_documented(stack: Stack) -> None:
    _work_is_done()
    response = stack.web.get(HEALTH + "/")

    document = response.json()
    cache, protection = document.pop("cache"), document.pop("protection")
    assert response.status_code == 200
    assert document == {
        "status": "healthy",
        "service": "saga",
        "version": settings.SAGA_VERSION,
        "redis": "connected",
        "database": "connected",
    }
    assert list(cache) == ["size", "hits", "misses", "hit_ratio", "last_refresh"]
    assert set(protection) == {"mode", "suspects", "instances", "sweep_lag_seconds"}


def _work_is_done() -> None:
    """Leave what a sweep and the workers leave while they run."""
    expiry.sweep()
    queues.note_consumer(queues.local())


def test_sweeps_that_stopped_degrade_health_and_then_fail_it(
    api: APIClient, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_memory", problems.Memory(started_at=time.monotonic() - 1000))
    now_us = presence.tick().now_us
    _work_is_done()

    def answer(lag_seconds: float) -> tuple[int, str, list[str]]:
        state = {"swept_us": now_us - int(lag_seconds * 1_000_000), "is_protecting": False}
        cache.set(protection.STATE_KEY, {**state, "suspects": 0, "instances": 0})
        health._memory.seen_at.clear()
        queues.note_consumer(queues.local())
        response = api.get(HEALTH)
        document = response.json()
        checks = [each["check"] for each in document.get("problems", [])]
        return response.status_code, document["status"], checks

    assert answer(0) == (200, "healthy", [])
    assert answer(12) == (200, "degraded", ["sweeps"])
    assert answer(100) == (503, "unhealthy", ["sweeps"])
    cache.delete(protection.STATE_KEY)
    health._memory.seen_at.clear()
    assert api.get(HEALTH).status_code == 503


def test_a_queue_without_a_consumer_is_reported(
    api: APIClient, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_memory", problems.Memory(started_at=time.monotonic() - 1000))
    _work_is_done()
    redis.hdel(queues.CONSUMERS_KEY, "webhooks")

    response = api.get(HEALTH)

    assert response.status_code == 503
    [problem] = response.json()["problems"]
    assert problem["check"] == "queues"
    assert "the queue webhooks" in problem["message"]


def test_metrics_and_dashboard_say_the_same(
    api: APIClient, admin_client: Client, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_memory", problems.Memory(started_at=time.monotonic() - 1000))
    _work_is_done()
    ServiceFactory.create()  # without any, the first page is another one
    redis.hdel(queues.CONSUMERS_KEY, "updates")

    scraped = api.get("/metrics").content.decode()
    page = admin_client.get("/admin/").content.decode()

    assert "saga_health 2.0" in scraped
    assert 'saga_health_problem{check="queues"} 2.0' in scraped
    assert 'saga_health_problem{check="sweeps"} 0.0' in scraped
    assert "No worker consumes the queue updates." in page


def test_the_cache_figures_are_those_of_all_processes(stack: Stack) -> None:
    stack.register()
    before = stack.health()["cache"]

    for _ in range(20):  # each over a connection of its own, to any of the processes
        assert stack.web.get("/api/v1/services/pay").status_code == 200
        assert stack.web.get("/api/v1/services/nobody").status_code == 404
    after = stack.health()["cache"]

    assert after["hits"] - before["hits"] == 20
    assert after["misses"] - before["misses"] == 20
    assert after["hit_ratio"] == round(after["hits"] / (after["hits"] + after["misses"]), 4)
    assert after["size"] == 1
    assert dt.datetime.fromisoformat(after["last_refresh"]).tzinfo is dt.UTC


def test_a_process_notices_that_another_one_refilled_redis(stack: Stack, redis: Any) -> None:
    for number in range(5):  # so that a new sequence begins below the number that is known
        stack.web.post("/api/v1/services/register", json={**SERVICE, "service_name": f"s{number}"})

    redis.flushdb()
    presence.mark_filled()
    stack.web.post("/api/v1/services/register", json={**SERVICE, "service_name": "late"})

    waiting.until(
        lambda: all(_listed(stack.web) == ["late"] for _ in range(10)),
        seconds=30,
    )


def _listed(web: WebServer) -> list[str]:
    rows = web.get("/api/v1/services").json().get("services", [])
    return [row["service_name"] for row in rows]


def test_it_is_ready_once_redis_is_filled(stack: Stack, api: APIClient, redis: Any) -> None:
    def is_reported_while_empty() -> bool:
        """Ask at once: every web process there is fills Redis as soon as it notices."""
        redis.flushdb()
        answer = api.get("/readyz")
        return (answer.status_code, answer.json()["redis"]) == (503, "connected")

    waiting.until(is_reported_while_empty)
    presence.mark_filled()

    assert api.get("/readyz").status_code == 200


@pytest.mark.parametrize("fault", ["refuse", "freeze"])
def test_without_redis_it_says_so_in_time_and_recovers(stack: Stack, fault: str) -> None:
    stack.register()
    getattr(stack.redis, fault)()

    health = refusal(stack.web, HEALTH)
    assert health.json()["status"] == "unhealthy"
    assert health.json()["redis"] == "disconnected"
    assert health.json()["database"] == "connected"
    assert health.elapsed.total_seconds() < REDIS_GONE_SECONDS
    lookup = refusal(stack.web, "/api/v1/services/pay")
    assert lookup.json()["error"] == "Redis is not available"
    assert lookup.elapsed.total_seconds() < REDIS_GONE_SECONDS
    assert stack.web.get("/readyz").status_code == 503
    assert stack.web.get("/livez").status_code == 200

    stack.redis.serve()
    waiting.until(stack.is_healthy, seconds=30)
    waiting.until(lambda: stack.web.get("/api/v1/services/pay").ok, seconds=30)


def refusal(web: WebServer, path: str) -> requests.Response:
    """Return the first 503; a process may take a moment to notice that Redis is gone."""
    return waiting.until(
        lambda: [answer for answer in [web.get(path)] if answer.status_code == 503]
    )[0]


def test_a_stream_outlives_both_outages(stack: Stack) -> None:
    with requests.get(stack.web.url + "/api/v1/events/stream", stream=True, timeout=60) as response:
        lines = response.iter_lines(chunk_size=1)
        assert next(lines) == b"retry: 3000"
        stack.redis.refuse()
        stack.database.refuse()
        waiting.until(lambda: stack.health()["database"] == "disconnected")
        stack.redis.serve()
        stack.database.serve()
        waiting.until(stack.is_healthy, seconds=30)

        stack.web.post("/api/v1/services/register", json=SERVICE)

        assert b"event: service.registered" in lines
