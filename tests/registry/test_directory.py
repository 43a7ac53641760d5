"""The replica that each web process keeps, against a real Redis and its change channel."""

import random
import threading

import pytest
from django.utils import timezone

from registry import directory, operations, presence
from registry.directory import memory, selection
from saga_project.shared import errors
from tests import replica, waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def following(redis):
    with replica.following():
        yield


def register(name="payment", **given):
    given = {"url": "http://localhost:1", **given}
    registration = operations.Registration(service_name=name, **given)
    return operations.register(registration, by=None, now=timezone.now())


def test_a_lookup_of_what_is_known_is_a_hit(following):
    register()
    before = directory.cache_counters()

    directory.get("payment")

    after = directory.cache_counters()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)
    assert after.size == 1


def test_a_name_that_memory_does_not_hold_is_asked_from_redis(following):
    before = directory.cache_counters()

    assert directory.get("nobody") is None

    assert directory.cache_counters().misses - before.misses == 1


def test_a_writer_sees_its_own_write(following):
    register(url="http://localhost:1")

    for port in range(2, 30):
        register(url=f"http://localhost:{port}")
        assert directory.newest(directory.get("payment")).url == f"http://localhost:{port}"


def test_the_list_is_sorted_by_name(following):
    for name in ("b", "a", "C", "a-1"):
        register(name)

    assert [entry.name for entry in directory.all_services()] == ["C", "a", "a-1", "b"]


def test_memory_and_redis_say_the_same(following):
    for name in ("a", "b"):
        register(name, instance_id="one", version="1.0")
        register(name, instance_id="two", zone="eu")
    presence.renew(["a/one"])
    waiting.until(lambda: memory.state.sequence == presence.sequence())

    from_memory = directory.all_services()
    memory.state.lease_until = 0.0
    from_redis = directory.all_services()

    assert from_memory == from_redis


def test_a_missed_change_makes_it_begin_again(following, redis):
    register("a")
    redis.hincrby(presence.META, "seq", 1)

    register("b")

    waiting.until(lambda: directory.is_whole() and directory.cache_counters().size == 2)


def test_an_emptied_redis_is_refilled_and_no_service_vanishes(following, redis):
    register("a")
    register("b")

    redis.flushdb()

    waiting.until(lambda: _listed() == ["a", "b"])


def _listed():
    try:
        return [entry.name for entry in directory.all_services()]
    except errors.RedisUnavailable:
        return None


def test_overdue_instance_is_in_no_read_before_any_sweep(redis):
    register("a")
    redis.hset(presence.META, "floor", 0)
    redis.zadd(presence.DEADLINES, {"a/default": 1})

    with replica.following():
        assert directory.get("a") is None
        assert directory.all_services() == []


def test_changes_that_race_with_the_snapshot_are_not_lost(redis):
    """Writers go on while replicas are loaded again and again; each ends with the last word."""
    for number in range(20):
        register(f"s-{number}")
    stop = threading.Event()
    written = {}

    def write():
        while not stop.is_set():
            name = f"s-{random.randrange(20)}"
            revision = written[name] = written.get(name, 10) + 1
            document = {**projection_of(name), "revision": revision, "version": str(revision)}
            presence.put(name, revision=revision, document=document)

    documents = {f"s-{number}": presence.read(f"s-{number}").document for number in range(20)}

    def projection_of(name):
        return documents[name]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            with replica.following():
                pass
        with replica.following():
            stop.set()
            writer.join()
            waiting.until(lambda: memory.state.sequence == presence.sequence())
            shown = {name: memory.state.services[name].version for name in written}
    finally:
        stop.set()
        writer.join()

    assert shown == {name: str(revision) for name, revision in written.items()}


# --- Choosing an instance -------------------------------------------------------------------------


def entry_with(*instances, canary=None):
    rows = [
        {
            "instance_id": str(position),
            "url": f"http://localhost:{position}",
            "capabilities": [],
            "version": "",
            "zone": "",
            "weight": 1,
            "metadata": {},
            "health_check_url": "",
            "health": "passing",
            "note": "",
            "registered_at": f"2026-01-01T00:00:0{position}.000000+00:00",
            "ttl": 60,
            "is_draining": False,
            **instance,
        }
        for position, instance in enumerate(instances)
    ]
    document = {
        "name": "a",
        "service_id": "e49d1ce4-7b02-4b7f-a0cf-4fbcc9abc02e",
        "status": "active",
        "health_status": "healthy",
        "misses": 0,
        "version": "",
        "interval": 30,
        "account_id": None,
        "canary": canary,
        "revision": 1,
        "instances": rows,
    }
    future = directory.now_us() + 60_000_000
    scores = {row["instance_id"]: future for row in rows}
    return directory.entry_of(document, scores, {}, floor_us=0)


def picks(entry, times=2000):
    return [directory.pick(entry).instance_id for _ in range(times)]


def test_the_newest_passing_instance_stands_for_the_service():
    entry = entry_with({}, {}, {"health": "critical"})

    assert directory.newest(entry).instance_id == "1"


def test_where_none_passes_the_newest_live_one_does():
    entry = entry_with({"health": "critical"}, {"health": "warning"})

    assert directory.newest(entry).instance_id == "1"


def test_a_drained_instance_is_left_out_while_there_is_another():
    assert set(picks(entry_with({}, {"is_draining": True}))) == {"0"}
    assert set(picks(entry_with({"is_draining": True}))) == {"0"}


def test_picks_follow_the_weights():
    chosen = picks(entry_with({"weight": 9}, {"weight": 1}, {"weight": 0}))

    assert 0.85 < chosen.count("0") / len(chosen) < 0.95
    assert "2" not in chosen


def test_weights_of_zero_everywhere_still_select_an_instance():
    assert set(picks(entry_with({"weight": 0}, {"weight": 0}))) == {"0", "1"}


def test_a_canary_gets_its_share_however_many_instances_it_has():
    entry = entry_with({"version": "2"}, {"version": "1"}, canary=["2", 10])

    chosen = picks(entry)

    assert 0.06 < chosen.count("0") / len(chosen) < 0.14


def test_a_canary_without_instances_takes_no_answers():
    entry = entry_with({"version": "1"}, canary=["2", 100])

    assert directory.pick(entry).instance_id == "0"


def test_of_10_000_lookups_a_rollout_gets_its_share_within_one_percent(monkeypatch):
    """With a generator that repeats itself: one percent is two and a half standard deviations."""
    monkeypatch.setattr(selection, "random", random.Random(14))
    entry = entry_with({"version": "1"}, {"version": "2"}, canary=["2", 20])

    names = [directory.chosen(entry).instance_id for _ in range(10_000)]

    assert 0.19 <= names.count("1") / len(names) <= 0.21


def test_lookups_during_a_rollout_without_a_share_follow_the_weights():
    entry = entry_with({"version": "1", "weight": 3}, {"version": "2"}, canary=["2", None])

    names = [directory.chosen(entry).instance_id for _ in range(2000)]

    assert 0.19 < names.count("1") / len(names) < 0.31


def test_lookups_without_a_rollout_show_the_newest():
    assert directory.chosen(entry_with({}, {}, {})).instance_id == "2"


@pytest.mark.parametrize(("percent", "expected"), [(0, "0"), (100, "1")])
def test_newest_is_on_the_side_that_gets_all_lookups(percent, expected):
    entry = entry_with({"version": "1"}, {"version": "2"}, canary=["2", percent])

    assert directory.newest(entry).instance_id == expected
    assert directory.chosen(entry).instance_id == expected


def test_a_rollout_is_written_for_live_services_only_and_ends(following):
    register(version="1")
    operations.begin_rollout("payment", version="2")
    operations.begin_rollout("unknown", version="2")
    during = directory.get("payment").canary

    operations.end_rollout("payment")

    assert during == ("2", None)
    assert directory.get("payment").canary is None
