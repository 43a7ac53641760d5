"""Queues are bounded, and a queue that no worker consumes is known."""

from __future__ import annotations

from typing import Any

import pytest

from saga_project.local import queues, sweeps
from tests.factories import ServiceFactory
from updates.models import Target

pytestmark = pytest.mark.django_db


def test_the_oldest_messages_of_a_queue_without_consumer_are_dropped(redis: Any) -> None:
    Target.objects.create(service=ServiceFactory.create(), name="main", node="far")
    for name in ("updates", "node.far"):
        redis.lpush(name, *(f"message {number}" for number in range(queues.MAX_WAITING + 3)))

    sweeps.bound_queues()

    assert redis.llen("updates") == redis.llen("node.far") == queues.MAX_WAITING
    assert redis.rpop("updates") == b"message 3"


def test_a_short_queue_is_left_alone(redis: Any) -> None:
    redis.lpush("updates", "a message")

    assert queues.bound(["updates"]) == 0
    assert redis.llen("updates") == 1


def test_a_queue_is_consumed_as_long_as_its_worker_says_so(redis: Any) -> None:
    queues.note_consumer(["updates"])

    silent = queues.unconsumed_seconds()

    assert silent["updates"] < 60
    assert silent["webhooks"] == float("inf")
