"""New services, many in one statement: the rows equal those of single registrations."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from registry import directory, operations
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Event, Instance, Service
from registry.operations import NewRegistration, Registered, Registration

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

OWN = {"id", "name", "service_name", "service_id", "service", "transaction"}
GIVEN: dict[str, Any] = {
    "url": "http://localhost:8001/ü",
    "capabilities": ["grpc", "rest"],
    "instance_id": "one",
    "version": "1.0.0",
    "metadata": {"rack": '"7"\\'},
    "health_check_url": "http://localhost:8001/health",
    "weight": 7,
    "zone": "north",
    "ttl_seconds": 90,
}


def new_registration(name: str, *, by: Caller | None = None, **given: Any) -> NewRegistration:
    registration = Registration(service_name=name, **({"url": "http://localhost:1"} | given))
    return NewRegistration(registration, by)


def let_in(*new_registrations: NewRegistration) -> list[Registered | None]:
    return operations.register_new(new_registrations, now=timezone.now())


def rows(name: str) -> list[dict[str, Any]]:
    """Return what PostgreSQL holds of a service, without what is its own; of times, whether there are any."""
    found = [
        Service.objects.filter(name=name).values().get(),
        Instance.objects.filter(service__name=name).values().get(),
        Event.objects.filter(service_name=name).values().get(),
    ]
    return [
        {
            key: value is not None if key.endswith("_at") else value
            for key, value in row.items()
            if key not in OWN
        }
        for row in found
    ]


@pytest.mark.parametrize("is_owned", [False, True])
def test_writes_what_an_ordinary_registration_writes(is_owned: bool) -> None:
    account = accounts.ensure_account("team", scopes=["registry:manage"])
    by = Caller(account=account, scopes=frozenset({"registry:manage"})) if is_owned else None
    ordinary = new_registration("ordinary", by=by, **GIVEN)
    operations.register(ordinary.registration, by=by, now=timezone.now())

    let_in(new_registration("new", by=by, **GIVEN))

    assert rows("new") == rows("ordinary")
    shown, known = directory.find("new"), directory.find("ordinary")
    assert shown is not None
    assert known is not None
    assert shown.account_id == known.account_id == (account.pk if is_owned else None)
    assert shown.instances[0].metadata == known.instances[0].metadata


def test_many_are_one_statement(django_assert_num_queries: Any) -> None:
    names = [f"new-{number}" for number in range(30)]

    with django_assert_num_queries(1):
        answers = let_in(*map(new_registration, names))

    assert [answer and answer.service_name for answer in answers] == names
    assert set(Service.objects.values_list("name", flat=True)) == set(names)
    assert Instance.objects.live().count() == Event.objects.count() == len(names)


def test_a_name_that_is_taken_is_left_as_it_is() -> None:
    let_in(new_registration("taken", version="1.0.0"))

    first, second, third = let_in(
        new_registration("z"),
        new_registration("taken", version="2.0.0"),
        new_registration("a", version="3.0.0"),
    )

    assert first is not None
    assert second is None
    assert third is not None
    assert (first.service_name, third.service_name) == ("z", "a")
    assert Instance.objects.get(service__name="taken").version == "1.0.0"
    assert Event.objects.filter(service_name="taken").count() == 1


def test_first_of_two_registrations_of_one_name_wins() -> None:
    first, second = let_in(
        new_registration("twin", zone="north"), new_registration("twin", zone="south")
    )

    assert first is not None
    assert second is None
    assert Instance.objects.get().zone == "north"


def test_untrusted_service_awaits_approval(settings: Any) -> None:
    settings.SAGA_AUTO_APPROVE = False
    settings.SAGA_INTERNAL_SERVICES = ["internal-*"]

    let_in(new_registration("internal-a"), new_registration("stranger"))

    assert {service.name: service.status for service in Service.objects.all()} == {
        "internal-a": Service.Status.ACTIVE,
        "stranger": Service.Status.PENDING_APPROVAL,
    }
    assert directory.get("internal-a") is not None
    assert directory.get("stranger") is None
