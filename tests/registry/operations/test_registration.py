import datetime as dt

import pytest
from django.utils import timezone

from registry import directory, errors, operations, presence
from registry.identity import accounts
from registry.models import Event, Instance, Service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def register(name="payment", *, by=None, **given):
    given = {"url": "http://localhost:8001", "capabilities": ["rest"], **given}
    registration = operations.Registration(service_name=name, **given)
    return operations.register(registration, by=by, now=timezone.now())


def caller(name, *, scopes=("registry:manage",), is_internal=False):
    account = accounts.ensure_account(name, scopes=scopes, is_internal=is_internal)
    return accounts.Caller(account=account, scopes=frozenset(scopes))


def types():
    return list(Event.objects.order_by("id").values_list("type", flat=True))


def test_a_registered_service_is_found():
    registered = register()

    entry = directory.get("payment")
    assert entry.service_id == registered.service_id
    assert directory.newest(entry).url == "http://localhost:8001"
    assert types() == ["service.registered"]


def test_the_same_again_writes_no_row_and_publishes_nothing(django_assert_num_queries):
    first = register()

    with django_assert_num_queries(0):
        second = register()

    assert second == first
    assert types() == ["service.registered"]


def test_a_changed_registration_keeps_the_id_and_gets_a_new_time():
    first = register()

    second = register(url="http://localhost:9000", capabilities=["grpc", "rest"])

    assert second.service_id == first.service_id
    assert second.registered_at > first.registered_at
    assert directory.newest(directory.get("payment")).capabilities == ["grpc", "rest"]


def test_a_new_version_is_reported():
    register(version="1.0.0")

    register(version="1.1.0")

    service = Service.objects.get()
    assert (service.version, service.previous_version) == ("1.1.0", "1.0.0")
    assert "service.version_changed" in types()


def beat(health):
    reported = operations.Heartbeat(service_name="payment", health=health)
    operations.renew(reported, by=None, now=timezone.now())


def test_the_same_body_again_keeps_the_health(django_assert_num_queries):
    register()
    beat("critical")

    with django_assert_num_queries(0):
        register()

    assert directory.get("payment").instances.get("default").health == "critical"
    assert types() == ["service.registered", "health.changed"]


def test_a_changed_body_keeps_the_health_of_a_live_instance():
    register()
    beat("critical")

    register(url="http://localhost:9000")

    assert directory.get("payment").instances.get("default").health == "critical"
    assert Instance.objects.get().health == "critical"
    assert types().count("health.changed") == 1


def test_an_instance_that_left_comes_back_passing():
    register()
    beat("critical")
    operations.deregister("payment", by=None, now=timezone.now())

    register()

    assert directory.get("payment").instances.get("default").health == "passing"


def test_a_degraded_service_that_registers_recovers_with_an_event():
    register()
    Service.objects.update(status="degraded", health_status="degraded", consecutive_misses=3)

    register(url="http://localhost:9000")

    assert Service.objects.get().status == "active"
    assert "service.recovered" in types()


def test_a_report_without_a_live_instance_is_reported_as_well():
    register()
    Instance.objects.update(state="expired")

    operations.record_health("payment", status="unhealthy", at=timezone.now())

    reported = Event.objects.get(type="health.changed").data
    assert (reported["instance_id"], reported["old"], reported["new"]) == (
        None,
        "healthy",
        "degraded",
    )


def test_two_instances_are_one_service():
    register(instance_id="one")
    register(instance_id="two", url="http://localhost:8002")

    assert Service.objects.count() == 1
    assert {row.instance_id for row in directory.get("payment").instances} == {"one", "two"}


def test_a_service_registered_with_a_token_belongs_to_its_account():
    register(by=caller("alice"))

    with pytest.raises(errors.ServiceOwned):
        register(by=caller("bob"), url="http://evil.example")
    with pytest.raises(errors.ServiceOwned):
        register(url="http://evil.example")

    assert Instance.objects.get().url == "http://localhost:8001"


def test_an_administrator_may_touch_any_service():
    register(by=caller("alice"))

    register(by=caller("root", scopes=["admin:registry"]), url="http://localhost:9")

    assert Service.objects.get().account.name == "alice"


def test_without_automatic_approval_a_service_waits_outside_of_lookups(settings):
    settings.SAGA_AUTO_APPROVE = False
    register()

    assert directory.get("payment") is None
    assert directory.find("payment") is not None
    operations.approve("payment", by="staff", now=timezone.now())
    assert directory.get("payment") is not None
    assert types() == ["service.registered", "service.approved"]


@pytest.mark.parametrize("name", ["core-billing", "core-"])
def test_internal_names_are_approved_at_once(settings, name):
    settings.SAGA_AUTO_APPROVE = False
    settings.SAGA_INTERNAL_SERVICES = ["core-*"]

    register(name)

    assert Service.objects.get().status == Service.Status.ACTIVE


def test_internal_accounts_are_approved_at_once(settings):
    settings.SAGA_AUTO_APPROVE = False

    register(by=caller("ours", is_internal=True))

    assert Service.objects.get().is_auto_approved


def test_an_approved_service_that_left_comes_back_without_a_new_approval(settings):
    settings.SAGA_AUTO_APPROVE = False
    register()
    operations.approve("payment", by="staff", now=timezone.now())
    operations.deregister("payment", by=None, now=timezone.now())

    register()

    assert directory.get("payment") is not None


def test_a_rejected_service_stays_out(settings):
    settings.SAGA_AUTO_APPROVE = False
    register()
    operations.reject("payment", by="staff", reason="unknown owner", now=timezone.now())

    register(url="http://localhost:7")

    assert directory.get("payment") is None
    assert Service.objects.get().status_reason == "unknown owner"


def test_a_service_that_ran_out_registers_anew_and_its_expiry_is_reported(redis):
    register()
    redis.hset(presence.META, "floor", 0)
    redis.zadd(presence.DEADLINES, {"payment/default": 1})
    presence.take_overdue(["payment/default"])

    register()

    assert types() == ["service.registered", "service.expired", "service.registered"]
    assert directory.get("payment") is not None


def test_registered_at_is_when_the_caller_said():
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    registration = operations.Registration(service_name="a", url="http://localhost")

    registered = operations.register(registration, by=None, now=now)

    assert registered.registered_at == "2026-01-02T03:04:05.000000+00:00"
