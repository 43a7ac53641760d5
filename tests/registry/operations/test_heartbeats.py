import pytest
from django.utils import timezone

from registry import directory, errors, operations, presence
from registry.models import Event, Instance

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def register(name="payment", **given):
    registration = operations.Registration(service_name=name, url="http://localhost:1", **given)
    operations.register(registration, by=None, now=timezone.now())


def beat(name="payment", **reported):
    beat = operations.Heartbeat(service_name=name, **reported)
    return operations.renew(beat, by=None, now=timezone.now())


def test_a_plain_heartbeat_touches_no_row(django_assert_num_queries):
    register(ttl_seconds=45)

    with django_assert_num_queries(0):
        assert beat() == 45


def test_a_heartbeat_moves_the_last_heartbeat():
    register()
    before = presence.last_heartbeat("payment", "default")

    beat()

    assert presence.last_heartbeat("payment", "default") > before


def test_heartbeat_of_unregistered_service_is_rejected():
    with pytest.raises(errors.ServiceNotLive, match="register it again"):
        beat()


def test_heartbeat_of_expired_instance_is_rejected(redis):
    register()
    redis.hset(presence.META, "floor", 0)
    redis.zadd(presence.DEADLINES, {"payment/default": 1})

    with pytest.raises(errors.ServiceNotLive):
        beat()


def test_a_new_status_is_written_down_and_reported_once():
    register()

    beat(health="critical", note="disk full")
    beat(health="critical", note="disk full")

    assert Instance.objects.get().health == "critical"
    assert Event.objects.filter(type="health.changed").count() == 1


def test_a_critical_instance_gives_way_to_a_passing_one():
    register(instance_id="old")
    register(instance_id="new")

    beat(instance_id="new", health="critical")

    assert directory.newest(directory.get("payment")).instance_id == "old"


def test_a_new_version_is_recorded():
    register(version="1.0")

    beat(version="1.1")

    assert directory.get("payment").instances.get("default").version == "1.1"
    assert Event.objects.filter(type="service.version_changed").count() == 1


def test_bulk_heartbeat_names_the_missing_instances():
    register("a", ttl_seconds=30)
    register("b", ttl_seconds=20)
    heartbeats = [operations.Heartbeat(service_name=name) for name in ("a", "b", "c")]

    answer = operations.renew_many(heartbeats, by=None, now=timezone.now())

    assert answer == operations.Renewed(refreshed=2, ttl_seconds=20, missing=["c"])
