"""The list of services by capability, zone and version range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests import factories
from tests.saga_project.console.conftest import member  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
LIST = "/admin/registry/service/"
Member = Callable[[str], Client]


@pytest.fixture
def viewer(member: Member) -> Client:  # noqa: F811
    for name, version, zone, capability in (
        ("one", "1.4.0", "a", "rest"),
        ("two", "2.0.0", "b", "grpc"),
        ("odd", "", "", "rest"),
    ):
        service = factories.ServiceFactory.create(name=name, version=version)
        factories.InstanceFactory.create(service=service, zone=zone, capabilities=[capability])
    return member("viewers")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("capability=grpc", {"two"}),
        ("capability=rest", {"one", "odd"}),
        ("zone=a", {"one"}),
        ("version_range=%3E%3D1.4%2C%3C2", {"one"}),
        ("version_range=%3E%3D1.4&capability=grpc", {"two"}),
        ("version_range=", {"one", "two", "odd"}),
    ],
)
def test_services_are_listed_by(viewer: Client, query: str, names: set[str]) -> None:
    answer = viewer.get(f"{LIST}?{query}")

    assert answer.status_code == 200
    assert {row.name for row in answer.context["cl"].result_list} == names


def test_a_range_that_is_none_says_so(viewer: Client) -> None:
    page = viewer.get(f"{LIST}?version_range=%3E%3C").content.decode()

    assert "no range of versions" in page


def test_the_field_keeps_the_other_filters(viewer: Client) -> None:
    page = viewer.get(f"{LIST}?capability=grpc&version_range=%3E1").content.decode()

    assert '<input type="hidden" name="capability" value="grpc">' in page
    assert 'value="&gt;1"' in page
