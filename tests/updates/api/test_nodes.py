"""How hosts join as nodes, and what the token of one opens."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis as redis_library
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from registry.background import token_ends
from registry.errors import TokenRefused
from registry.identity import accounts
from registry.models import Token
from tests import factories, waiting
from tests.api_clients import Bearer, Headers
from updates import errors
from updates.models import AuditEntry, JoinToken, Node, NodeOrder, Target
from updates.operations import agent_work
from updates.operations import nodes as enrolment
from updates.rollouts import nodes
from updates.rollouts.agents import envelopes, orders

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def demanding(settings: Settings) -> None:
    settings.SAGA_AUTH = "required"


@pytest.fixture
def staff(bearer: Bearer) -> Headers:
    return bearer("nodes:write", "updates:read", account="staff")


def post(api: APIClient, path: str, headers: Headers | None = None, **body: Any) -> Any:
    return api.post(f"/api/v1{path}", body, format="json", headers=headers or {})


def join_token(api: APIClient, staff: Headers, name: str = "web1", **body: Any) -> str:
    answer = post(api, "/nodes/join-tokens", staff, name=name, **body)
    assert answer.status_code == 201, answer.json()
    return str(answer.json()["join_token"])


def joined(api: APIClient, staff: Headers, name: str = "web1", **body: Any) -> Headers:
    answer = post(api, "/agent/join", join_token=join_token(api, staff, name, **body))
    assert answer.status_code == 201, answer.json()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def placed(name: str = "web1") -> NodeOrder:
    order = orders._place(name, "shop/web", 1, "switch", {"secret": "s3cret"})
    assert order is not None
    return order


def test_node_that_joined_gets_orders_once_it_is_approved(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff)

    before = post(api, "/agent/poll", agent).json()
    post(api, "/nodes/web1/approve", staff)
    order = placed()
    after = post(api, "/agent/poll", agent, facts={"host": "web1", "list": [1]}).json()

    assert (before["status"], before["orders"]) == ("pending", [])
    document = envelopes.open_envelope(
        after["orders"][0], public=orders.key().public, node="web1", now=timezone.now()
    )
    assert document["id"] == str(order.pk)
    assert "s3cret" not in order.sealed_envelope
    assert api.get("/api/v1/nodes/web1", headers=staff).json()["facts"] == {"host": "web1"}
    actions = AuditEntry.objects.filter(action__startswith="node.").order_by("sequence")
    assert [entry.action for entry in actions] == [
        "node.join_token_made",
        "node.joined",
        "node.approved",
    ]


def test_join_token_is_good_once_and_for_a_while(api: APIClient, staff: Headers) -> None:
    text = join_token(api, staff)
    late = join_token(api, staff, "late")
    JoinToken.objects.filter(node_name="late").update(
        expires_at=timezone.now() - dt.timedelta(seconds=1)
    )

    statuses = [
        post(api, "/agent/join", join_token=each).status_code
        for each in (text, text, late, "sagajoin_guess.0")
    ]

    assert statuses == [201, 403, 403, 403]


def test_node_that_joins_again_is_pending_and_its_old_token_ends(
    api: APIClient, staff: Headers
) -> None:
    first = joined(api, staff, approve=True)

    joined(api, staff)

    assert post(api, "/agent/poll", first).status_code == 401
    assert Node.objects.get().status == "pending"


def test_revocation_ends_token_and_orders_at_once(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)
    post(api, "/agent/poll", agent)
    order = placed()

    post(api, "/nodes/web1/revoke", staff)

    assert post(api, "/agent/poll", agent).status_code == 401
    assert post(api, f"/agent/orders/{order.pk}/outcome", agent, kind="failed").status_code == 401
    assert not nodes.has_worker("web1")
    assert post(api, "/nodes/web1/approve", staff).status_code == 409


def test_poll_that_outlives_its_token_gets_no_order_of_the_next_host(
    api: APIClient, staff: Headers
) -> None:
    agent = joined(api, staff, approve=True)
    caller = accounts.recognise(agent["Authorization"].removeprefix("Bearer "), now=timezone.now())
    node = agent_work.node_of(caller)

    post(api, "/nodes/web1/revoke", staff)
    other = joined(api, staff, approve=True)
    placed()

    with pytest.raises(errors.NodeNotAllowed):
        agent_work.poll(node, caller, running=[], seconds=0)
    assert len(post(api, "/agent/poll", other).json()["orders"]) == 1


@pytest.mark.django_db(transaction=True)
def test_of_hosts_that_join_as_one_node_together_one_keeps_its_token() -> None:
    texts = [
        enrolment.make_join_token("web1", hours=1, is_approving=True, by=None, now=timezone.now())
        for _ in range(3)
    ]

    def join(text: str) -> str:
        return enrolment.join(text, facts={}, now=timezone.now()).token

    def join_beside() -> str:
        try:
            return join(texts[2])
        finally:
            connection.close()

    join(texts[0])
    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            first = join(texts[1])
            other = pool.submit(join_beside)
            waiting.until(is_a_lock_awaited)
        second = other.result(timeout=60)

    with pytest.raises(TokenRefused):
        accounts.recognise(first, now=timezone.now())
    assert accounts.recognise(second, now=timezone.now()).account.name == "node.web1"


def is_a_lock_awaited() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["rotate", "revoke", "approve"])
def test_decision_about_a_node_waits_for_a_join_without_locking_the_node(kind: str) -> None:
    """A join locks the account first and the node then: in the same order, neither waits for the other."""
    decide = decisions()[kind]

    with ThreadPoolExecutor(max_workers=1) as pool, transaction.atomic():
        accounts.ensure_account("node.web1", scopes=[])
        other = pool.submit(decide)
        waiting.until(is_a_lock_awaited)
        locked = Node.objects.select_for_update(nowait=True).get(name="web1")

    assert locked.name == "web1"
    other.result(timeout=60)


def decisions() -> dict[str, Callable[[], object]]:
    """Make the pending node ``web1``; return what may be decided about it, for a thread of its own."""
    make = functools.partial(enrolment.make_join_token, "web1", hours=1, by=None)
    token = enrolment.join(
        make(is_approving=False, now=timezone.now()), facts={}, now=timezone.now()
    ).token
    caller = accounts.recognise(token, now=timezone.now())
    node = agent_work.node_of(caller)

    def joins() -> object:
        return enrolment.join(
            make(is_approving=True, now=timezone.now()), facts={}, now=timezone.now()
        )

    decided: dict[str, Callable[[], object]] = {
        "join": joins,
        "rotate": lambda: enrolment.rotate(node, caller, now=timezone.now()),
        "revoke": lambda: enrolment.revoke("web1", by=None, now=timezone.now()),
        "approve": lambda: enrolment.approve("web1", by=None, now=timezone.now()),
    }
    return {name: functools.partial(closing_connection, decided[name]) for name in decided}


def closing_connection(act: Callable[[], object]) -> object:
    try:
        return act()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_joins_and_rotations_of_one_node_together_do_not_deadlock() -> None:
    decided = decisions()

    with ThreadPoolExecutor(max_workers=4) as pool:
        running = [pool.submit(decided[kind]) for kind in ("join", "rotate") * 10]
        faults = [each.exception(timeout=60) for each in running]

    assert {type(fault) for fault in faults} <= {type(None), errors.NodeNotAllowed}
    assert AuditEntry.objects.filter(action="node.joined").count() == 11


@pytest.mark.django_db(transaction=True)
def test_order_is_not_placed_while_its_node_is_being_revoked() -> None:
    decided = decisions()
    decided["approve"]()

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            enrolment.revoke("web1", by=None, now=timezone.now())
            order = pool.submit(
                closing_connection, lambda: orders._place("web1", "shop/web", 1, "switch", {})
            )
            waiting.until(is_a_lock_awaited)
        placed_order = order.result(timeout=60)

    assert placed_order is None


def test_node_sees_and_answers_its_own_orders_only(api: APIClient, staff: Headers) -> None:
    joined(api, staff, approve=True)
    other = joined(api, staff, "web2", approve=True)
    order = placed()

    report = post(api, f"/agent/orders/{order.pk}", other, progress=50)
    outcome = post(api, f"/agent/orders/{order.pk}/outcome", other, kind="succeeded")

    assert post(api, "/agent/poll", other).json()["orders"] == []
    assert [report.json(), outcome.json()] == [{"is_wanted": False}] * 2
    order.refresh_from_db()
    assert (order.outcome, order.progress) == (None, 0)


def test_first_outcome_of_an_order_counts(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)
    order = placed()
    place = f"/agent/orders/{order.pk}/outcome"

    first = post(api, place, agent, kind="succeeded", message="done", result={"sha256": "ab"})
    second = post(api, place, agent, kind="failed", message="no")

    order.refresh_from_db()
    assert (first.json()["is_wanted"], second.json()["is_wanted"]) == (True, False)
    assert order.outcome["message"] == "done"
    assert order.outcome["result"] == {"sha256": "ab"}


def test_running_order_that_was_cancelled_is_named(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)
    old, new = placed(), placed()
    unknown = str(uuid.uuid4())

    answer = post(api, "/agent/poll", agent, running=[str(old.pk), str(new.pk), unknown]).json()

    assert answer["orders"] == []
    assert sorted(answer["cancelled"]) == sorted([str(old.pk), unknown])


def test_expired_order_is_not_delivered(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)
    placed()
    NodeOrder.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert post(api, "/agent/poll", agent).json()["orders"] == []


def test_rotation_is_asked_for_and_the_old_token_ends_within_the_hour(
    api: APIClient, staff: Headers
) -> None:
    agent = joined(api, staff, approve=True)
    post(api, "/nodes/web1/rotate", staff)

    has_to_rotate = post(api, "/agent/poll", agent).json()["has_to_rotate"]
    text = post(api, "/agent/token", agent).json()["token"]

    fresh = {"Authorization": f"Bearer {text}"}
    assert has_to_rotate
    assert post(api, "/agent/poll", fresh).json()["has_to_rotate"] is False
    old = Token.objects.order_by("pk").filter(account__name="node.web1").first()
    assert old is not None
    assert old.expires_at is not None
    assert token_ends.warn() == 0  # people have nothing to do about it


def test_agent_that_a_new_token_did_not_reach_gets_another(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)

    post(api, "/agent/token", agent)

    assert post(api, "/agent/poll", agent).json()["has_to_rotate"]


def test_replaced_token_fetches_no_other_once_its_successor_is_used(
    api: APIClient, staff: Headers
) -> None:
    """What was stolen before a rotation buys nothing after it."""
    stolen = joined(api, staff, approve=True)
    order = placed()
    text = post(api, "/agent/token", stolen).json()["token"]
    post(api, "/agent/poll", {"Authorization": f"Bearer {text}"})

    fetched = post(api, "/agent/token", stolen)
    polled = post(api, "/agent/poll", stolen)
    reported = post(api, f"/agent/orders/{order.pk}", stolen, progress=10)

    assert [fetched.status_code, polled.status_code] == [403, 403]
    assert "successor is in use" in polled.json()["message"]
    assert reported.json() == {"is_wanted": True}, "what is under way is reported to its end"


def test_token_that_did_not_reach_the_agent_ends_with_the_next_rotation(
    api: APIClient, staff: Headers
) -> None:
    agent = joined(api, staff, approve=True)
    lost = post(api, "/agent/token", agent).json()["token"]

    text = post(api, "/agent/token", agent).json()["token"]

    statuses = [
        post(api, "/agent/poll", {"Authorization": f"Bearer {each}"}).status_code
        for each in (lost, text)
    ]
    assert statuses == [401, 200]


def test_name_of_an_account_that_is_no_nodes_is_refused(
    api: APIClient,
    staff: Headers,
    bearer: Bearer,
) -> None:
    text = join_token(api, staff)
    bearer("services:read", account="node.web1")

    answers = [
        post(api, "/agent/join", join_token=text),
        post(api, "/nodes/join-tokens", staff, name="web1"),
    ]

    assert [answer.status_code for answer in answers] == [403, 400]
    assert not Node.objects.exists()


def test_node_downloads_artifacts_of_its_own_services_only(api: APIClient, staff: Headers) -> None:
    agent = joined(api, staff, approve=True)
    mine, other = factories.UploadFactory.create(), factories.UploadFactory.create()
    Target.objects.create(service=mine.service, name="web", node="web1")

    statuses = [
        api.get(f"/api/v1/artifacts/{each.pk}", headers=agent).status_code for each in (mine, other)
    ]

    assert statuses == [200, 404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/services"),
        ("get", "/nodes"),
        ("get", "/targets"),
        ("post", "/nodes/join-tokens"),
        ("post", "/tokens"),
        ("post", "/webhooks/deploy"),
        ("post", "/artifacts"),
    ],
)
def test_token_of_a_node_opens_nothing_else(
    api: APIClient, staff: Headers, method: str, path: str
) -> None:
    agent = joined(api, staff, approve=True)

    answer = getattr(api, method)(f"/api/v1{path}", headers=agent)

    assert answer.status_code == 403


def test_account_that_is_no_node_cannot_work_as_one(
    api: APIClient,
    bearer: Bearer,
) -> None:
    for headers in (bearer("nodes:work"), bearer("admin:registry", account="chief")):
        assert post(api, "/agent/poll", headers).status_code == 403


def test_worker_of_a_host_does_not_take_the_name_of_a_living_agent(
    api: APIClient, staff: Headers, redis: redis_library.Redis
) -> None:
    post(api, "/agent/poll", joined(api, staff, approve=True))

    assert "web1" in nodes.claim([nodes.queue_of("web1")])
