import datetime as dt
import threading
import time

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registry import directory, errors, operations, presence
from registry.background import (
    expiry,
    flush,
    missed_heartbeats,
    protection,
    reconciliation,
    retention,
)
from registry.models import Event, IdempotencyKey, Instance, Service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def register(name, **given):
    registration = operations.Registration(service_name=name, url="http://localhost:1", **given)
    operations.register(registration, by=None, now=timezone.now())


def run_out(redis, *names):
    """Make the last heartbeats of these services an hour old."""
    Instance.objects.filter(service__name__in=names).update(
        registered_at=timezone.now() - dt.timedelta(hours=2)
    )
    presence.tick()  # Heartbeats can be received, however long the test took so far.
    redis.hset(presence.META, "floor", 0)
    past = (redis.time()[0] - 3600) * 1_000_000
    redis.zadd(presence.DEADLINES, {f"{name}/default": past for name in names})


def reported(kind):
    return sorted(Event.objects.filter(type=kind).values_list("service_name", flat=True))


def live():
    return sorted(Service.objects.filter(instances__state="live").values_list("name", flat=True))


# --- Expiry ---------------------------------------------------------------------------------------


def test_a_sweep_with_nothing_to_do_asks_postgresql_nothing(redis, django_assert_num_queries):
    register("a")
    presence.tick()

    with django_assert_num_queries(0):
        done = expiry.sweep()

    assert done == expiry.Sweep(0, 0, is_protecting=False)
    assert protection.state()["instances"] == 1


def test_overdue_instance_expires_with_an_event(redis):
    register("a")
    register("b")
    run_out(redis, "a")

    expiry.sweep()

    assert reported("service.expired") == ["a"]
    assert live() == ["b"]
    assert directory.find("a") is None


def test_a_second_sweep_publishes_nothing_more(redis):
    register("a")
    run_out(redis, "a")

    expiry.sweep()
    expiry.sweep()

    assert reported("service.expired") == ["a"]


def test_two_sweepers_at_once_publish_it_once(redis):
    for number in range(3):
        register(f"s-{number}")
    run_out(redis, "s-0", "s-1", "s-2")
    barrier = threading.Barrier(4)

    def sweep():
        barrier.wait()
        expiry.sweep()
        connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expiry.sweep()

    assert reported("service.expired") == ["s-0", "s-1", "s-2"]


def test_what_a_killed_sweep_took_is_written_down_by_the_next(redis):
    register("a")
    run_out(redis, "a")
    presence.take_overdue(["a/default"])

    expiry.sweep()

    assert reported("service.expired") == ["a"]
    assert presence.expiring() == {}


def test_a_sweep_that_died_after_its_commit_is_not_reported_twice(redis):
    register("a")
    run_out(redis, "a")
    expiry.sweep()
    redis.hset(presence.EXPIRING, "a/default", 1)

    expiry.sweep()

    assert reported("service.expired") == ["a"]


def test_instance_that_registered_again_meanwhile_stays(redis):
    register("a")
    run_out(redis, "a")
    presence.take_overdue(["a/default"])
    register("a", weight=2)

    expiry.sweep()

    assert live() == ["a"]
    assert directory.get("a") is not None


def test_no_instance_expires_while_no_process_receives_heartbeats(redis):
    register("a")
    run_out(redis, "a")
    redis.hset(presence.META, "tick", 1)

    expiry.sweep()

    assert live() == ["a"]


def test_many_rows_move_in_as_many_statements_as_one(redis, monkeypatch):
    monkeypatch.setattr(protection, "UNPROTECTED_COUNT", 1000)
    names = [f"s-{number:02}" for number in range(41)]
    for name in names:
        register(name)

    def statements_to_expire(*some):
        run_out(redis, *some)
        with CaptureQueriesContext(connection) as queries:
            assert expiry.sweep().expired == len(some)
        return len(queries)

    assert statements_to_expire(*names[1:]) == statements_to_expire(names[0])
    assert live() == []
    assert reported("service.expired") == names


# --- Mass expiry ----------------------------------------------------------------------------------


@pytest.fixture
def fleet(redis):
    names = [f"s-{number:02}" for number in range(30)]
    for name in names:
        register(name)
    return names


def test_a_few_at_once_are_no_mass_expiry(fleet, redis):
    run_out(redis, *fleet[:4])

    assert not expiry.sweep().is_protecting
    assert reported("service.expired") == fleet[:4]


def test_a_mass_expiry_takes_only_a_share_and_keeps_the_rest_as_suspects(fleet, redis):
    run_out(redis, *fleet)

    swept = expiry.sweep()

    assert swept.is_protecting
    assert len(reported("service.expired")) == protection.registry_rule().allowed(30) == 4
    assert len(reported("service.suspect")) == 30
    assert len([name for name in fleet if directory.get(name) is not None]) == 26
    assert protection.state()["is_protecting"]


def test_suspect_with_a_new_heartbeat_has_recovered(fleet, redis):
    run_out(redis, *fleet)
    expiry.sweep()
    survivors = live()
    presence.renew([f"{name}/default" for name in survivors])

    swept = expiry.sweep()

    assert not swept.is_protecting
    assert reported("service.recovered") == survivors
    assert live() == survivors


def test_protection_ends_by_itself(fleet, redis):
    run_out(redis, *fleet)

    for _ in range(12):
        redis.delete(*redis.keys("*protection:batch*") or ["none"])
        redis.hset(presence.META, "tick", int(time.time() * 1_000_000))
        expiry.sweep()

    assert live() == []
    assert reported("service.expired") == fleet
    assert not expiry.sweep().is_protecting


def test_the_rest_of_a_mass_expiry_waits_for_its_next_share(fleet, redis):
    run_out(redis, *fleet)

    expiry.sweep()
    expiry.sweep()

    assert len(reported("service.expired")) == 4


def next_share(redis):
    """Make the next sweep take another share, as it would some seconds later."""
    redis.delete(*redis.keys("*protection:batch*") or ["none"])
    presence.tick()


def test_only_what_is_overdue_counts(fleet, redis):
    soon = (redis.time()[0] + 1) * 1_000_000
    redis.hset(presence.META, "floor", 0)
    redis.zadd(presence.DEADLINES, {f"{name}/default": soon for name in fleet})

    assert not expiry.sweep().is_protecting
    assert reported("service.suspect") == []


def test_a_handful_of_services_is_no_network_fault(redis):
    names = [f"s-{number}" for number in range(5)]
    for name in names:
        register(name)
    run_out(redis, *names[:4])

    assert not expiry.sweep().is_protecting
    assert reported("service.expired") == names[:4]


def test_minimum_and_share_are_settings(redis, settings):
    settings.SAGA_PROTECTION_MINIMUM, settings.SAGA_PROTECTION_PERCENT = 5, 90
    names = [f"s-{number}" for number in range(6)]
    for name in names:
        register(name)
    run_out(redis, *names[:5])
    few = expiry.sweep()
    for name in names:
        register(name, weight=2)
    run_out(redis, *names)

    assert not few.is_protecting
    assert expiry.sweep().is_protecting


def test_a_service_may_have_a_rule_of_its_own(fleet, redis, settings):
    settings.SAGA_PROTECTION_SERVICES = {"s-0*": {"percent": 100}}
    run_out(redis, *fleet[:10])
    unprotected = expiry.sweep()
    settings.SAGA_PROTECTION_SERVICES = {"s-1*": {"minimum": 5}}
    run_out(redis, *fleet[10:20])

    assert not unprotected.is_protecting
    assert reported("service.expired")[:10] == fleet[:10]
    assert expiry.sweep().is_protecting
    assert reported("service.suspect") == fleet[10:20]


def test_suspects_that_staff_confirm_expire_at_once(fleet, redis):
    run_out(redis, *fleet)
    expiry.sweep()

    protection.decide(protection.GONE, actor="ada")
    presence.tick()
    expiry.sweep()

    assert live() == []
    assert reported("service.recovered") == []
    assert protection.decision() is None


def test_suspects_that_staff_hold_stay(fleet, redis):
    run_out(redis, *fleet)
    expiry.sweep()
    left = live()

    protection.decide(protection.HOLD, actor="ada")
    for _ in range(3):
        next_share(redis)
        expiry.sweep()

    assert live() == left
    assert protection.state()["is_protecting"]


def test_nothing_is_decided_where_nothing_is_held(redis):
    register("a")
    expiry.sweep()

    with pytest.raises(errors.NotProtecting):
        protection.decide(protection.GONE, actor="ada")


# --- Misses ---------------------------------------------------------------------------------------


def silence(name, *, seconds):
    Service.objects.filter(name=name).update(
        last_heartbeat_at=timezone.now() - dt.timedelta(seconds=seconds)
    )


@pytest.fixture
def silent(redis):
    register("a")
    run_out(redis, "a")
    expiry.sweep()
    silence("a", seconds=30 * 3 + 1)
    return "a"


def test_a_service_within_its_grace_has_missed_nothing(redis):
    register("a")
    silence("a", seconds=30 * 3 - 5)

    assert missed_heartbeats.count_misses() == 0


def test_misses_add_up_to_degraded_and_unreachable(silent):
    seen = []
    for _ in range(11):
        missed_heartbeats.count_misses()
        service = Service.objects.get()
        seen.append((service.status, service.health_status))

    assert seen[:2] == [("active", "healthy")] * 2
    assert seen[2:9] == [("degraded", "degraded")] * 7
    assert seen[9:] == [("degraded", "unreachable")] * 2
    assert reported("service.degraded") == reported("service.unreachable") == ["a"]


def test_a_heartbeat_makes_a_degraded_service_whole_again(silent):
    for _ in range(3):
        missed_heartbeats.count_misses()
    register("a")

    service = Service.objects.get()
    assert (service.status, service.consecutive_misses) == ("active", 0)


def test_misses_end_with_the_next_heartbeat(redis):
    register("a")
    Service.objects.update(consecutive_misses=3, status="degraded", health_status="degraded")
    silence("a", seconds=300)
    Instance.objects.update(last_heartbeat_at=timezone.now() - dt.timedelta(seconds=300))
    presence.renew(["a/default"])

    flush.flush_heartbeats()

    service = Service.objects.get()
    assert (service.status, service.consecutive_misses) == ("active", 0)
    assert reported("service.recovered") == ["a"]


def test_many_silent_services_cost_as_many_statements_as_one(redis):
    def statements(*names):
        for name in names:
            register(name)
        flush.flush_heartbeats()
        for name in names:
            silence(name, seconds=300)
        services = Service.objects.filter(name__in=names)
        services.update(consecutive_misses=2)
        with CaptureQueriesContext(connection) as captured:
            assert missed_heartbeats.count_misses() == len(names)
        services.update(last_heartbeat_at=timezone.now())
        return len(captured)

    one = statements("a")
    many = statements(*(f"s-{number}" for number in range(20)))

    assert many == one
    assert len(reported("service.degraded")) == 21


def test_readers_see_what_misses_made_of_a_service(silent):
    register("b")
    flush.flush_heartbeats()
    silence("b", seconds=300)

    for _ in range(3):
        missed_heartbeats.count_misses()

    shown = directory.find("b")
    assert (shown.status, shown.misses) == ("degraded", 3)
    assert shown.revision == Service.objects.get(name="b").revision


# --- Flushing, reconciling, purging ---------------------------------------------------------------


def test_a_flush_without_heartbeats_is_one_small_query(redis, django_assert_num_queries):
    register("a")
    flush.flush_heartbeats()

    with django_assert_num_queries(1):
        flush.flush_heartbeats()


def test_the_newest_heartbeats_are_flushed_in_one_statement(redis, django_assert_max_num_queries):
    for number in range(5):
        register(f"s-{number}")
    presence.renew([f"s-{number}/default" for number in range(5)])

    with django_assert_max_num_queries(8):
        assert flush.flush_heartbeats() == 5

    instance = Instance.objects.get(service__name="s-0")
    assert instance.last_heartbeat_at == presence.last_heartbeat("s-0", "default")


def test_an_old_heartbeat_never_overwrites_a_newer_one(redis):
    register("a")
    future = timezone.now() + dt.timedelta(days=1)
    Instance.objects.update(last_heartbeat_at=future)

    assert flush.flush_heartbeats() == 0
    assert Instance.objects.get().last_heartbeat_at == future


def test_a_heartbeat_is_flushed_once(redis):
    register("a")
    register("b")
    presence.renew(["a/default", "b/default"])
    flush.flush_heartbeats()
    before = timezone.now() - dt.timedelta(hours=1)
    Instance.objects.update(last_heartbeat_at=before)
    presence.renew(["b/default"])

    assert flush.flush_heartbeats() == 1
    assert Instance.objects.get(service__name="a").last_heartbeat_at == before


def test_what_was_not_committed_is_flushed_by_the_next(redis):
    register("a")
    presence.renew(["a/default"])

    def die():
        with transaction.atomic():
            flush.flush_heartbeats()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die()

    assert flush.flush_heartbeats() == 1


def test_heartbeats_of_a_redis_with_a_late_clock_are_flushed(redis, monkeypatch):
    register("a")
    presence.renew(["a/default"])
    monkeypatch.setattr(flush._flushed, "until_us", 2**60)

    assert flush.flush_heartbeats() == 1


def test_reconciling_leaves_alone_what_is_shown(redis):
    register("a")
    register("b")
    redis.hdel(presence.REVISIONS, "b")

    assert reconciliation.reconcile() == 1
    assert reconciliation.reconcile() == 0


def test_what_a_killed_process_did_not_show_is_shown_by_reconciling(redis):
    register("a")
    redis.delete(presence.SERVICES, presence.REVISIONS)

    reconciliation.reconcile()

    assert directory.get("a") is not None


def test_old_idempotency_keys_are_purged(redis):
    old = timezone.now() - dt.timedelta(hours=25)
    IdempotencyKey.objects.create(route="/", key="old", request_digest="", created_at=old)
    IdempotencyKey.objects.create(
        route="/", key="new", request_digest="", created_at=timezone.now()
    )

    assert retention.purge_idempotency_keys() == 1
    assert IdempotencyKey.objects.get().key == "new"
