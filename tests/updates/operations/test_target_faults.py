"""A target takes no folder of another service, and none of Saga's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from registry.models import Service, ServiceAccount
from tests import factories
from updates.models import Target
from updates.operations import target_faults

pytestmark = pytest.mark.django_db

INSTANCES = [{"id": "a", "port": 1}, {"id": "b", "port": 2}]


@pytest.fixture
def service(settings: Settings) -> Service:
    settings.SAGA_DATA_DIR = Path("/var/lib/saga")
    settings.SAGA_INSTALL_ROOT = Path("/var/lib/saga/services")
    account = ServiceAccount.objects.create(name="owner")
    return factories.ServiceFactory.create(name="shop", account=account)


def fault(service: Service, root: str, **values: Any) -> str:
    target = Target(service=service, name="web", install_root=root, **values)
    return target_faults.find(target).get("install_root", "")


@pytest.mark.parametrize(
    "root",
    [
        *("relative", "/srv/../etc", "/", "/proc/self", "/srv/a\nb"),
        *("/var/lib/saga", "/var/lib/saga/secrets", "/var/lib/saga/services/other"),
    ],
)
def test_a_folder_that_no_service_may_have_is_refused(service: Service, root: str) -> None:
    assert fault(service, root)


@pytest.mark.parametrize("root", ["/srv/shop", "/var/lib/saga/services/shop/blue", ""])
def test_a_folder_of_its_own_is_accepted(service: Service, root: str) -> None:
    assert fault(service, root) == ""


@pytest.mark.parametrize("root", ["/srv/pay", "/srv/pay/", "/srv/pay/releases", "/srv"])
def test_a_folder_of_another_accounts_service_is_refused(service: Service, root: str) -> None:
    take(root="/srv/pay")

    assert "another service" in fault(service, root)
    assert fault(service, root, node="far") == ""
    assert fault(service, "/srv/payments") == ""


def test_one_account_may_nest_its_services_but_not_share_a_folder(service: Service) -> None:
    take(root="/srv/shop", account=service.account)

    assert fault(service, "/srv/shop/worker") == ""
    assert "another service" in fault(service, "/srv/shop")


def test_instances_count_with_the_folders_that_they_get(service: Service) -> None:
    take(root="/srv/pay/{port}", instances=INSTANCES)

    assert "another service" in fault(service, "/srv/pay/2")
    assert fault(service, "/srv/pay/3") == ""
    assert "another service" in fault(service, "/srv/pay/{port}", instances=INSTANCES)


@pytest.mark.parametrize("name", ["../pay/web", "a b", "-x", "a/b", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(service: Service, name: str) -> None:
    """It stands in paths, and in the names of units and containers."""
    assert "name" in target_faults.find(Target(service=service, name=name))


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [("eu-web", True), ("eu-web-previous", True), ("web", False), ("eu-api", False)],
)
def test_a_name_that_makes_the_unit_of_another_service_is_refused(
    service: Service, name: str, is_refused: bool
) -> None:
    other = factories.ServiceFactory.create(name="shop-eu")
    Target.objects.create(service=other, name="web")

    assert ("name" in target_faults.find(Target(service=service, name=name))) is is_refused


def test_an_instance_of_a_target_counts_as_its_name(service: Service) -> None:
    other = factories.ServiceFactory.create(name="shop-eu")
    Target.objects.create(service=other, name="a")

    assert "name" in target_faults.find(Target(service=service, name="eu", instances=INSTANCES))


def take(*, root: str, account: ServiceAccount | None = None, **values: Any) -> None:
    other = factories.ServiceFactory.create(name="pay", account=account)
    Target.objects.create(service=other, name="web", install_root=root, **values)
