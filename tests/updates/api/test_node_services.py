"""What the token of a node registers: the services of its own host, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import Event, Instance, Service
from registry.operations import ensure_service
from tests.api_clients import Bearer, Headers
from tests.updates.api.test_nodes import joined, post, staff  # noqa: F401  (fixtures)
from updates.models import AuditEntry, Node, Target

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]
URL = "http://10.0.0.5:9000"


@pytest.fixture(autouse=True)
def demanding(settings: Settings) -> None:
    settings.SAGA_AUTH = "required"


@pytest.fixture
def agent(api: APIClient, staff: Headers) -> Headers:  # noqa: F811
    return joined(api, staff, approve=True)


def add_target(name: str = "shop", **fields: Any) -> Service:
    service = ensure_service(name)
    Target.objects.create(service=service, name="web", **{"node": "web1", **fields})
    return service


def register(
    api: APIClient, agent: Headers, name: str = "shop", instance: str = "web1:9000", **body: Any
) -> Any:
    body |= {"service_name": name, "service_url": URL, "instance_id": instance}
    return post(api, "/agent/services/register", agent, **body)


def beat(api: APIClient, agent: Headers, name: str = "shop", instance: str = "web1:9000") -> Any:
    return post(api, f"/agent/services/{name}/heartbeat", agent, instance_id=instance)


def deregister(
    api: APIClient, agent: Headers, name: str = "shop", instance: str = "web1:9000"
) -> Any:
    return api.delete(f"/api/v1/agent/services/{name}?instance_id={instance}", headers=agent)


@pytest.mark.django_db(transaction=True)
def test_node_registers_keeps_and_deregisters_a_service_of_its_targets(
    api: APIClient, agent: Headers
) -> None:
    add_target()

    registered = register(api, agent, version="1.4.0", zone="a")
    kept = beat(api, agent)
    live = Instance.objects.get()
    ended = deregister(api, agent)

    assert [each.status_code for each in (registered, kept, ended)] == [200, 200, 200]
    assert (live.instance_id, live.version, live.state) == ("web1:9000", "1.4.0", "live")
    assert Instance.objects.get().state == "deregistered"
    assert Service.objects.get(name="shop").account is None


@pytest.mark.django_db(transaction=True)
def test_service_stays_its_owners_when_a_node_registers_it(api: APIClient, agent: Headers) -> None:
    owner = accounts.ensure_account("shop-team", scopes=["registry:manage"])
    service = add_target()
    Service.objects.filter(pk=service.pk).update(account=owner)

    answer = register(api, agent)

    assert answer.status_code == 200
    assert Service.objects.get(name="shop").account == owner


@pytest.mark.parametrize("act", [register, beat, deregister])
@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("billing", "web1:9000"),  # a target on another node
        ("free", "web1:9000"),  # a service that no target names
        ("unknown", "web1:9000"),
        ("shop", "web2:9000"),
        ("shop", "web10:9000"),
        ("shop", "web1.example:9000"),
        ("shop", "default"),
        ("shop", "billing-1"),  # of another service's target
    ],
)
def test_whatever_is_not_of_the_nodes_host_is_refused(
    api: APIClient, agent: Headers, act: Any, name: str, instance: str
) -> None:
    add_target()
    add_target("billing", node="web2", instance_id="billing-1")
    ensure_service("free")

    answer = act(api, agent, name, instance)

    assert answer.status_code == 403
    assert not Instance.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_instance_that_a_target_names_is_of_the_node(api: APIClient, agent: Headers) -> None:
    add_target(instance_id="shop-blue")

    answers = [register(api, agent, instance="shop-blue"), beat(api, agent, instance="shop-blue")]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("act", [beat, deregister])
def test_instance_must_be_named(api: APIClient, agent: Headers, act: Any) -> None:
    """Without an instance, a whole service would be deregistered, with its instances on other hosts."""
    add_target()

    assert act(api, agent, instance="").status_code == 400


def test_node_that_is_not_approved_or_lost_its_target_registers_nothing(
    api: APIClient,
    staff: Headers,  # noqa: F811
) -> None:
    agent = joined(api, staff)
    add_target()

    pending = register(api, agent)
    post(api, "/nodes/web1/approve", staff)
    Target.objects.all().delete()
    lost = register(api, agent)

    assert [pending.status_code, lost.status_code] == [403, 403]


@pytest.mark.django_db(transaction=True)
def test_staff_name_a_service_without_a_target_to_a_node(
    api: APIClient,
    staff: Headers,  # noqa: F811
    agent: Headers,
) -> None:
    before = register(api, agent, "postgres")
    named = post(api, "/nodes/web1/services", staff, services=["postgres", "postgres"])
    after = register(api, agent, "postgres")
    post(api, "/nodes/web1/services", staff, services=[])
    then = beat(api, agent, "postgres")

    assert [each.status_code for each in (before, after, then)] == [403, 200, 403]
    assert named.json()["services"] == ["postgres"]
    entries = AuditEntry.objects.filter(action="node.services_set").order_by("sequence")
    assert [entry.data["services"] for entry in entries] == [["postgres"], []]


def test_token_that_was_replaced_by_one_in_use_registers_nothing(
    api: APIClient, agent: Headers
) -> None:
    add_target()
    text = post(api, "/agent/token", agent).json()["token"]
    post(api, "/agent/poll", {"Authorization": f"Bearer {text}"})

    statuses = [act(api, agent).status_code for act in (register, beat, deregister)]

    assert statuses == [403, 403, 403]


def test_service_of_another_account_is_not_named_to_a_node(
    api: APIClient,
    staff: Headers,  # noqa: F811
    agent: Headers,
) -> None:
    owner = accounts.ensure_account("shop-team", scopes=["registry:manage"])
    Service.objects.filter(pk=ensure_service("shop").pk).update(account=owner)

    answer = post(api, "/nodes/web1/services", staff, services=["shop"])

    assert answer.status_code == 403
    assert register(api, agent).status_code == 403


def test_tokens_of_other_accounts_use_no_route_of_nodes(
    api: APIClient,
    bearer: Bearer,
) -> None:
    add_target()

    for headers in (bearer("registry:manage", "nodes:work"), bearer("admin:registry", account="a")):
        for act in (register, beat, deregister):
            assert act(api, headers).status_code == 403


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(("namer", "status"), [("staff", 403), ("boss", 200)])
@pytest.mark.django_db(transaction=True)
def test_account_that_takes_a_service_over_keeps_names_at_nodes_from_administrators_only(
    api: APIClient,
    bearer: Bearer,
    staff: Headers,  # noqa: F811
    agent: Headers,
    is_known: bool,
    namer: str,
    status: int,
) -> None:
    if is_known:
        ensure_service("shop")
    names = staff if namer == "staff" else bearer("admin:registry", account="boss")
    named = post(api, "/nodes/web1/services", names, services=["cache", "shop"])
    owner = bearer("registry:manage", account="shop-team")
    body = {"service_name": "shop", "service_url": "http://10.0.0.9:80", "instance_id": "shop-1"}

    taken = post(api, "/services/register", owner, **body)

    assert [named.status_code, taken.status_code] == [200, 200]
    assert register(api, agent).status_code == status
    assert register(api, agent, "cache").status_code == 200
    reported = Event.objects.get(type="service.handed_over").data
    assert reported["dropped" if namer == "staff" else "handed_over"] == {"node": ["web1"]}
    assert Service.objects.get(name="shop").account.name == "shop-team"  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_name_at_a_node_without_an_audit_entry_does_not_outlive_a_takeover(
    api: APIClient,
    bearer: Bearer,
    agent: Headers,
) -> None:
    ensure_service("shop")
    Node.objects.update(services=["shop"])
    owner = bearer("registry:manage", account="shop-team")

    post(api, "/services/register", owner, service_name="shop", service_url="http://10.0.0.9:80")

    assert register(api, agent).status_code == 403
