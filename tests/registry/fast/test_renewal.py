"""Heartbeats from an event loop, over a connection that may end at any time, against a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone
from redis import Redis

from registry import directory, operations, presence
from saga_project.shared import errors, timestamps
from tests import replica, waiting

pytestmark = pytest.mark.django_db(transaction=True)

Beats = list[int] | errors.Unavailable


@pytest.fixture
def renew(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[[str], Beats]]:
    """Renews a member over one connection, and waits for the answer."""
    renewal = presence.Renewal()

    async def send(member: str) -> Beats:
        reported: asyncio.Future[Beats] = loop.create_future()
        renewal.renew([member], reported.set_result)
        async with asyncio.timeout(10):
            return await reported

    yield lambda member: loop.run_until_complete(send(member))
    renewal.close()
    loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture(autouse=True)
def service(redis: Redis) -> None:
    registration = operations.Registration(service_name="a", url="http://localhost:1")
    operations.register(registration, by=None, now=timezone.now())


def connections_of(redis: Redis) -> set[str]:
    """Return those to this test's database; other tests run beside it on the same server."""
    database = str(redis.get_connection_kwargs()["db"])
    return {client["id"] for client in redis.client_list() if client["db"] == database}


def listed_heartbeat_us() -> int:
    entry = directory.peek("a")
    assert entry is not None
    return entry.instances[0].last_heartbeat_us


def last_heartbeat_us() -> int:
    at = presence.last_heartbeat("a", "default")
    assert at is not None
    return timestamps.microseconds(at)


def test_renewal_returns_times_and_missing_instances(renew: Callable[[str], Beats]) -> None:
    assert renew("a/default") == [last_heartbeat_us()]
    assert renew("nobody/default") == [0]


def test_a_connection_that_has_ended_is_no_reason_to_refuse(
    renew: Callable[[str], Beats], redis: Redis
) -> None:
    before = connections_of(redis)
    renew("a/default")
    (own,) = connections_of(redis) - before
    redis.client_kill_filter(_id=own)

    assert renew("a/default") != [0]


def test_a_redis_that_forgot_the_script_gets_it_again(
    renew: Callable[[str], Beats], redis: Redis
) -> None:
    renew("a/default")
    redis.script_flush()

    assert renew("a/default") == [last_heartbeat_us()]


def test_an_emptied_redis_is_unavailable_until_it_is_refilled(
    renew: Callable[[str], Beats], redis: Redis
) -> None:
    redis.flushdb()

    assert isinstance(renew("a/default"), errors.RedisUnavailable)


def test_waiting_heartbeats_are_published(
    renew: Callable[[str], Beats], loop: asyncio.AbstractEventLoop
) -> None:
    with replica.following():
        for _ in range(3):
            heartbeats = renew("a/default")
        loop.run_until_complete(asyncio.sleep(0.02))  # the loop must run for its timers to

        waiting.until(lambda: [listed_heartbeat_us()] == heartbeats)


def test_tick_publishes_the_heartbeats_of_a_killed_process(renew: Callable[[str], Beats]) -> None:
    with replica.following():
        for _ in range(3):
            heartbeats = renew("a/default")

        waiting.until(lambda: [listed_heartbeat_us()] == heartbeats)
