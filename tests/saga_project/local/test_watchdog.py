"""A worker ends that has idle threads and consumes nothing while messages wait."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery.worker import state

from saga_project.local import watchdog
from saga_project.shared import redis as shared_redis


class Ended(Exception):
    pass


def end() -> None:
    raise Ended


@pytest.fixture
def watched() -> watchdog.Watchdog:
    return watchdog.Watchdog(["updates"], threads=2, end=end)


def test_a_worker_that_consumes_nothing_is_ended(watched: watchdog.Watchdog, redis: Any) -> None:
    redis.lpush("updates", "a task")
    for _ in range(watchdog.CHECKS_UNTIL_STUCK - 1):
        watched.check()

    with pytest.raises(Ended):
        watched.check()


def test_a_worker_without_messages_goes_on(watched: watchdog.Watchdog, redis: Any) -> None:
    for _ in range(watchdog.CHECKS_UNTIL_STUCK * 2):
        watched.check()


def test_a_worker_that_consumes_goes_on(watched: watchdog.Watchdog, redis: Any) -> None:
    redis.lpush("updates", "a task")
    for _ in range(watchdog.CHECKS_UNTIL_STUCK * 2):
        watched.note_received()
        watched.check()


def test_worker_with_busy_threads_stays_alive(watched: watchdog.Watchdog, redis: Any) -> None:
    class Task:
        """A running request, as Celery keeps it."""

    redis.lpush("updates", "a task")
    running = [Task(), Task()]
    for task in running:
        state.active_requests.add(task)
    for _ in range(watchdog.CHECKS_UNTIL_STUCK * 2):
        watched.check()


def test_an_outage_of_redis_ends_no_worker(watched: watchdog.Watchdog, redis: Any) -> None:
    redis.lpush("updates", "a task")
    shared_redis.breaker._open_until = time.monotonic() + 60
    for _ in range(watchdog.CHECKS_UNTIL_STUCK * 2):
        watched.check()
