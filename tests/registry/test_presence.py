"""The scripts, against a real Redis."""

import pytest

from registry import presence
from registry.presence import reading
from saga_project.shared import errors, timestamps

pytestmark = pytest.mark.usefixtures("redis")

SECOND = 1_000_000


def document(name, *instance_ids):
    return {
        "name": name,
        "revision": 1,
        "instances": [{"instance_id": instance_id, "ttl": 60} for instance_id in instance_ids],
    }


def put(name="a", *, revision=1, **change):
    return presence.put(name, revision=revision, document=document(name, "default"), **change)


def expire(redis, member, *, seconds_ago=1):
    presence.tick()
    now = redis.time()[0] * SECOND
    redis.hset(presence.META, "floor", 0)
    redis.zadd(presence.DEADLINES, {member: now - seconds_ago * SECOND})


def test_heartbeat_renews_a_live_instance():
    put(renewed=[("default", 60)])

    at_us, absent = presence.renew(["a/default", "b/default"])

    assert at_us > 0
    assert absent == 0


def test_pages_of_heartbeats_hold_every_instance(redis, monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 3)
    now = redis.time()[0] * SECOND
    for number, ttl in enumerate([60, 60, 90, 60, 5, 60, 60, 3600]):
        put(f"s-{number}", known=[("default", ttl, now + (ttl - 1 - number // 4) * SECOND)])

    renewed, at_us = presence.heartbeats()
    late, _ = presence.heartbeats(since_us=now - SECOND)

    expected = {f"s-{number}/default": now - (1 + number // 4) * SECOND for number in range(8)}
    assert renewed == pytest.approx(expected, rel=0, abs=SECOND // 2)  # later by the way to Redis
    assert sorted(late) == [f"s-{number}/default" for number in range(4)]
    assert at_us >= now


def test_no_heartbeat_is_in_the_future(redis):
    put(renewed=[("default", 3600)])
    redis.hset(
        presence.TTLS, "a/default", 5 * SECOND
    )  # it has just registered anew, with another TTL

    renewed, at_us = presence.heartbeats()

    assert renewed == {"a/default": at_us}


def test_renews_more_than_one_command_may_name():
    members = [presence.member_of("a", str(number)) for number in range(2500)]
    put(renewed=[(str(number), 60) for number in range(0, 2500, 2)])

    renewed = presence.renew(members)

    assert [bool(at_us) for at_us in renewed] == [number % 2 == 0 for number in range(2500)]


def test_renewal_of_an_overdue_instance_is_rejected(redis):
    put(renewed=[("default", 60)])
    expire(redis, "a/default")

    assert presence.renew(["a/default"]) == [0]


def test_the_last_heartbeat_is_exact_to_the_microsecond():
    put(renewed=[("default", 60)])
    (at_us,) = presence.renew(["a/default"])

    assert timestamps.microseconds(presence.last_heartbeat("a", "default")) == at_us


def test_an_older_document_never_replaces_a_newer_one(redis):
    presence.put("a", revision=2, document={**document("a"), "revision": 2})

    assert put(revision=1) == 0
    assert presence.read("a").document["revision"] == 2


def test_an_older_document_does_not_bring_a_service_back_that_has_left():
    put(renewed=[("default", 60)])
    presence.put("a", revision=3, document=None, dropped=["default"])

    put(revision=2)

    assert presence.read("a") is None


def test_overdue_instances_are_removed_once(redis):
    put(renewed=[("default", 60)])
    put("b", renewed=[("default", 60)])
    expire(redis, "a/default")

    first = presence.take_overdue(["a/default", "b/default"])
    second = presence.take_overdue(["a/default", "b/default"])

    assert (first, second) == (["a/default"], [])
    assert list(presence.expiring()) == ["a/default"]


def test_a_heartbeat_wins_over_a_sweep_that_comes_later(redis):
    put(renewed=[("default", 60)])
    expire(redis, "a/default")
    seen = presence.overdue()
    presence.hold({"a/default": (redis.time()[0] + 10) * SECOND})
    presence.renew(["a/default"])

    assert "a/default" in seen.due
    assert presence.take_overdue(["a/default"]) == []


def test_no_instance_expires_for_one_ttl_after_an_outage(redis):
    put(renewed=[("default", 60)])
    presence.tick()
    expire(redis, "a/default")
    redis.hincrby(presence.META, "tick", -int(presence.AWAY_SECONDS * SECOND) - SECOND)

    presence.tick()

    assert presence.renew(["a/default"]) != [0]


def test_steady_tick_does_not_move_the_grace_floor(redis):
    presence.tick()
    before = redis.hget(presence.META, "floor")

    presence.tick()

    assert redis.hget(presence.META, "floor") == before


def test_an_emptied_redis_answers_nothing_before_it_is_refilled(redis):
    put(renewed=[("default", 60)])
    redis.flushdb()

    with pytest.raises(errors.RedisUnavailable):
        presence.renew(["a/default"])
    with pytest.raises(errors.RedisUnavailable):
        presence.read("a")
    with pytest.raises(errors.RedisUnavailable):
        presence.snapshot()


def test_an_emptied_redis_is_refilled_once(redis):
    redis.flushdb()
    calls = []

    presence.ensure_filled(lambda: calls.append(1) or 0)
    presence.ensure_filled(lambda: calls.append(1) or 0)

    assert calls == [1]


def test_another_redis_process_is_refilled(redis):
    redis.hset(presence.META, "run_id", "of-the-one-before")
    calls = []

    presence.ensure_filled(lambda: calls.append(1) or 0)

    assert calls == [1]


def test_what_is_known_from_postgresql_does_not_shorten_a_life(redis):
    put(renewed=[("default", 60)])
    (at_us,) = presence.renew(["a/default"])

    put(known=[("default", 60, 1)])

    assert redis.zscore(presence.DEADLINES, "a/default") == at_us + 60 * SECOND


def test_a_held_suspect_is_still_renewed(redis):
    put(renewed=[("default", 60)])
    expire(redis, "a/default")
    presence.hold({"a/default": (redis.time()[0] + 10) * SECOND})

    assert presence.renew(["a/default"]) != [0]


def test_each_change_takes_the_next_number(redis):
    before = presence.sequence()

    put(renewed=[("default", 60)])
    presence.renew(["a/default"])
    presence.renew(["nobody/default"])

    assert presence.sequence() == before + 2


def test_another_database_of_the_same_redis_has_channels_of_its_own(redis):
    number = redis.connection_pool.connection_kwargs["db"]

    assert presence.CHANGES_CHANNEL.endswith(f":{number}")
    assert presence.WAKEUP_CHANNEL.endswith(f":{number}")
