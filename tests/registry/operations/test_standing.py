import pytest
from django.utils import timezone

from registry import directory, errors, operations
from registry.models import Event, Service, Subscription

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def register(name="payment", **given):
    registration = operations.Registration(service_name=name, url="http://localhost:1", **given)
    operations.register(registration, by=None, now=timezone.now())


def deregister(name="payment", **how):
    operations.deregister(name, by=None, now=timezone.now(), **how)


def test_deregistered_service_is_not_found_at_once():
    register()

    deregister(reason="shutdown")

    assert directory.get("payment") is None
    assert Event.objects.latest("id").data == {"instances": ["default"], "reason": "shutdown"}


def test_one_instance_leaves_and_the_service_stays():
    register(instance_id="one")
    register(instance_id="two")

    deregister(instance_id="one")

    assert {row.instance_id for row in directory.get("payment").instances} == {"two"}
    assert Service.objects.get().status == Service.Status.ACTIVE


def test_deregistration_of_an_unknown_service_is_rejected():
    with pytest.raises(errors.ServiceNotFound):
        deregister()


def test_refuses_to_deregister_twice():
    register()
    deregister()

    with pytest.raises(errors.ServiceNotFound):
        deregister()


@pytest.mark.parametrize(
    ("state", "is_blocked"),
    [("pending", True), ("active", True), ("suspended", True), ("cancelled", False)],
)
def test_subscriptions_block_where_they_count(state, is_blocked):
    register()
    Subscription.objects.create(service=Service.objects.get(), subscriber="shop", state=state)

    if is_blocked:
        with pytest.raises(errors.HasSubscriptions, match="1 active subscription"):
            deregister()
    else:
        deregister()

    assert (directory.get("payment") is not None) is is_blocked


APPROVABLE = {"pending_approval", "rejected"}
REJECTABLE = {"pending_approval", "active", "degraded"}


@pytest.mark.parametrize("status", [s for s in Service.Status if s != "deregistered"])
def test_approval_is_legal_from_where_the_table_says(status):
    register()
    Service.objects.update(status=status)

    if status in APPROVABLE:
        operations.approve("payment", by="staff", now=timezone.now())
        assert Service.objects.get().status == Service.Status.ACTIVE
    else:
        with pytest.raises(errors.IllegalMove):
            operations.approve("payment", by="staff", now=timezone.now())


@pytest.mark.parametrize("status", [s for s in Service.Status if s != "deregistered"])
def test_rejection_is_legal_from_where_the_table_says(status):
    register()
    Service.objects.update(status=status)

    if status in REJECTABLE:
        operations.reject("payment", by="staff", reason="no", now=timezone.now())
        assert directory.get("payment") is None
    else:
        with pytest.raises(errors.IllegalMove):
            operations.reject("payment", by="staff", reason="no", now=timezone.now())
