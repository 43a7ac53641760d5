"""From which standstill on Saga is degraded, and unhealthy."""

from __future__ import annotations

import datetime as dt
import math
import time

import pytest
from django.utils import timezone

from registry.background import work_slots
from saga_project.web import problems
from saga_project.web.problems import HealthInputs, Level, Memory
from tests.factories import DeliveryFactory
from webhooks.outbound import claims


def old() -> Memory:
    """The memory of a process that has run for long, and knows nothing."""
    return Memory(started_at=time.monotonic() - 1000)


def levels(inputs: HealthInputs, memory: Memory | None = None) -> dict[str, Level]:
    found = problems.evaluate(inputs, memory or old())
    return {problem.check: problem.level for problem in found}


@pytest.mark.parametrize(
    ("lag_seconds", "level"),
    [(0.0, None), (4.9, None), (5.2, Level.DEGRADED), (31.0, Level.UNHEALTHY)],
)
def test_late_sweeps(lag_seconds: float, level: Level | None) -> None:
    assert levels(HealthInputs(sweep_lag_seconds=lag_seconds)).get("sweeps") == level


@pytest.mark.parametrize(
    ("silent_seconds", "level"),
    [(2.0, None), (12.0, Level.DEGRADED), (31.0, Level.UNHEALTHY), (math.inf, Level.UNHEALTHY)],
)
def test_a_queue_without_a_consumer(silent_seconds: float, level: Level | None) -> None:
    inputs = HealthInputs(unconsumed_seconds={"updates": 0.0, "webhooks": silent_seconds})

    assert levels(inputs).get("queues") == level


@pytest.mark.parametrize(
    ("seconds", "level"), [(14.0, None), (16.0, Level.DEGRADED), (31.0, Level.UNHEALTHY)]
)
def test_deliveries_that_no_worker_takes(seconds: float, level: Level | None) -> None:
    assert levels(HealthInputs(undelivered_seconds=seconds)).get("deliveries") == level


def test_a_read_only_postgresql_is_unhealthy() -> None:
    assert levels(HealthInputs(is_database_read_only=True)) == {"database": Level.UNHEALTHY}


def test_a_process_that_has_just_started_waits_for_the_first_sweep() -> None:
    assert levels(HealthInputs(sweep_lag_seconds=math.inf), Memory()) == {}


def test_sweeps_that_never_ran_are_unhealthy() -> None:
    assert levels(HealthInputs(sweep_lag_seconds=math.inf)) == {"sweeps": Level.UNHEALTHY}


def test_what_ran_a_moment_ago_is_not_forgotten_with_an_emptied_redis() -> None:
    memory = old()
    assert levels(HealthInputs(sweep_lag_seconds=0.5), memory) == {}

    assert levels(HealthInputs(sweep_lag_seconds=math.inf), memory) == {}


def test_the_worst_comes_first() -> None:
    inputs = HealthInputs(sweep_lag_seconds=12.0, is_database_read_only=True)

    assert [problem.check for problem in problems.evaluate(inputs, old())] == ["database", "sweeps"]


@pytest.mark.django_db
def test_deliveries_stand_still_where_one_is_due_and_no_slot_is_held() -> None:
    assert claims.undelivered_seconds() == 0

    DeliveryFactory.create(next_attempt_at=timezone.now() - dt.timedelta(seconds=100))
    assert 99 <= claims.undelivered_seconds() < 200

    work_slots.acquire(work_slots.DELIVERIES, seconds=60)
    assert claims.undelivered_seconds() == 0
