"""A Redis that stands still, or whose clock is set: the living stay, and the dead go in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis as redis_library

from registry import presence
from registry.presence import refill
from saga_project.shared import errors
from saga_project.shared import redis as shared_redis
from tests import redis_servers, waiting
from tests.redis_servers import RedisServer

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
SECOND = 1_000_000
HOUR = 3600
ALIVE, DEAD = "alive/default", "dead/default"


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file that holds by how many seconds the server's clock is wrong."""
    path = tmp_path / "clock"
    path.write_text("+0")
    return path


@pytest.fixture
def server(clock: Path) -> Iterator[RedisServer]:
    environment = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    if FAKETIME is not None:
        environment["LD_PRELOAD"] = str(FAKETIME)
    with redis_servers.running(environment=environment) as running:
        yield running


@pytest.fixture
def client(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis_library.Redis]:
    """Connect presence to this test's server, filled and with two instances."""
    with server.client() as client:
        monkeypatch.setattr(shared_redis, "connection", lambda: client)
        shared_redis.breaker.close()
        presence.mark_filled()
        register(ALIVE, ttl=60)
        register(DEAD, ttl=60)
        yield client


@pytest.fixture
def step(clock: Path, client: redis_library.Redis) -> Callable[[int], None]:
    """Set the server's clock, and return when it shows the new time."""
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed (apt: faketime)")

    def set_clock(seconds: int) -> None:
        before = client.time()[0]
        clock.write_text(f"{seconds:+d}")
        waiting.until(lambda: abs(client.time()[0] - before) > HOUR // 2)

    return set_clock


def register(member: str, *, ttl: int) -> None:
    name, instance_id = presence.split_member(member)
    document = {
        "name": name,
        "revision": 1,
        "instances": [{"instance_id": instance_id, "ttl": ttl}],
    }
    presence.put(name, revision=1, document=document, renewed=[(instance_id, ttl)])


def seconds_left(client: redis_library.Redis, member: str) -> float:
    found = presence.read(presence.split_member(member)[0])
    assert found is not None
    [score] = found.scores.values()
    return (max(score, found.floor_us + 60 * SECOND) - found.now_us) / SECOND


def age(client: redis_library.Redis, member: str, *, seconds: int) -> None:
    """Make the last heartbeat of a member older, with nothing given back so far."""
    client.hset(presence.META, "floor", 0)
    client.zincrby(presence.DEADLINES, -seconds * SECOND, member)


def test_a_clock_set_forward_expires_no_live_instance(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    presence.tick()

    step(HOUR)

    assert presence.take_overdue([ALIVE, DEAD]) == []
    assert presence.renew([ALIVE]) != [0]
    presence.tick()
    assert 0 < seconds_left(client, DEAD) <= 60


def test_a_clock_set_back_keeps_no_dead_instance(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    age(client, DEAD, seconds=50)
    presence.tick()

    step(-HOUR)

    assert presence.renew([ALIVE]) != [0]
    assert seconds_left(client, ALIVE) <= 61
    assert seconds_left(client, DEAD) <= 12
    age(client, DEAD, seconds=12)
    assert presence.take_overdue([ALIVE, DEAD]) == [DEAD]


def test_a_key_with_a_time_to_live_outlives_no_clock_that_is_set_back(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    """Locks, claims of nodes and what protection keeps: an owner that died holds them no hour longer."""
    presence.tick()
    client.set("saga:lock", "dead", ex=30)
    client.set("saga:kept", "for ever")

    step(-HOUR)
    presence.tick()

    assert 0 < client.ttl("saga:lock") <= 31
    assert client.ttl("saga:kept") == -1


def test_a_refill_lock_of_a_clock_that_was_ahead_ends_in_its_time(
    client: redis_library.Redis,
) -> None:
    """It also ends where Redis lost the time of its last tick, and shows no step."""
    client.set("saga:refilling", "dead", ex=HOUR)
    client.delete(presence.META)

    with pytest.raises(errors.RedisUnavailable, match="refilled"):
        presence.ensure_filled(lambda: 0)

    assert 0 < client.ttl("saga:refilling") <= refill.REFILL_SECONDS


def test_a_clock_that_is_set_forward_and_back_again(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    presence.tick()
    step(HOUR)
    presence.renew([ALIVE])
    presence.tick()

    step(0)

    assert presence.renew([ALIVE]) != [0]
    assert 55 < seconds_left(client, ALIVE) <= 61
    assert seconds_left(client, DEAD) <= 61


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_what_is_refilled_is_dated_by_the_clock_of_redis(
    client: redis_library.Redis, step: Callable[[int], None], seconds: int
) -> None:
    step(seconds)
    presence.tick()
    client.delete(presence.DEADLINES, presence.TTLS, presence.REVISIONS)
    now_us = time.time_ns() // 1000

    for member, left in ((ALIVE, 30), (DEAD, -5)):
        name, instance_id = presence.split_member(member)
        document = {
            "name": name,
            "revision": 1,
            "instances": [{"instance_id": instance_id, "ttl": 60}],
        }
        known = [(instance_id, 60, now_us + left * SECOND)]
        presence.put(name, revision=1, document=document, known=known)
    client.hset(presence.META, "floor", 0)

    assert presence.take_overdue([ALIVE, DEAD]) == [DEAD]
    assert 0 < seconds_left(client, ALIVE) <= 30


def test_web_processes_take_a_new_snapshot_after_a_clock_was_set_back(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    before = presence.tick().filled_us

    step(-HOUR)

    assert presence.tick().filled_us not in (0, before)
    assert presence.tick().filled_us == presence.tick().filled_us


def test_heartbeats_that_waited_in_a_paused_redis_are_accepted(
    server: RedisServer, client: redis_library.Redis
) -> None:
    """``CLIENT PAUSE``, as in a failover: what waits runs in one burst, heartbeats before the first tick."""
    register(ALIVE, ttl=3)
    client.hset(presence.META, "floor", 0)
    presence.tick()
    with server.client() as other:
        other.execute_command("CLIENT", "PAUSE", 4500, "ALL")
        with ThreadPoolExecutor(1) as pool:
            heartbeats = pool.submit(presence.renew, [ALIVE])
            moments = heartbeats.result(30)

    assert moments != [0]
    assert presence.take_overdue([ALIVE]) == []


def test_lookups_right_after_a_pause_find_instances_without_heartbeats(
    client: redis_library.Redis,
) -> None:
    age(client, ALIVE, seconds=61)
    client.hincrby(presence.META, "tick", -5 * SECOND)

    assert seconds_left(client, ALIVE) > 0


def test_an_expired_instance_is_refused_while_ticks_are_steady(client: redis_library.Redis) -> None:
    presence.tick()
    age(client, DEAD, seconds=61)

    assert presence.renew([DEAD]) == [0]


def test_times_of_a_redis_with_another_clock_are_reported_on_ours(
    client: redis_library.Redis, step: Callable[[int], None]
) -> None:
    step(-HOUR)
    presence.tick()

    _, now_us = presence.heartbeats()

    assert abs(presence.skew_us(now_us) - HOUR * SECOND) < 60 * SECOND
