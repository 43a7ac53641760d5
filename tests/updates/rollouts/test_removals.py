"""A target that goes: what may still run there is reported, and stopped first where that is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import TestCase
from django.utils import timezone
from rest_framework.test import APIClient

from registry.identity import accounts
from registry.models import Event, Service, ServiceAccount
from tests import factories
from tests.updates.rollouts.test_container import Engine, deploy, engine, target  # noqa: F401
from updates import operations
from updates.errors import JobInProgress
from updates.models import Job, Node, NodeOrder, Target
from updates.rollouts import nodes, removals

NAME = "shop"
TEXT = "1.0.0 may still run on web (node local)"


def headers(*scopes: str) -> dict[str, str]:
    account = accounts.ensure_account("owner", scopes=scopes)
    _, token = accounts.issue_token(account, scopes=scopes)
    return {"Authorization": f"Bearer {token}"}


def running(**values: Any) -> Target:
    owner, _ = ServiceAccount.objects.get_or_create(name="owner")
    service = factories.ServiceFactory.create(name=NAME, account=owner)
    return Target.objects.create(service=service, name="web", current_version="1.0.0", **values)


def reported(kind: str) -> list[Any]:
    return list(Event.objects.filter(type=kind).values_list("data", flat=True))


@pytest.mark.django_db
def test_the_answer_to_a_deletion_says_what_may_still_run(api: APIClient) -> None:
    path = f"/api/v1/targets/{running().pk}"

    answer = api.delete(path, headers=headers("targets:write"))

    assert answer.status_code == 204
    assert TEXT in answer["X-Saga-Warning"]
    assert f"POST {path}/stop" in answer["X-Saga-Warning"]


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("dialect", ["saga", "scaicontrol"])
def test_the_answer_to_a_deregistration_says_what_may_still_run(
    api: APIClient, dialect: str
) -> None:
    running()
    of = headers("registry:manage")

    if dialect == "saga":
        answer = api.delete(f"/api/v1/services/{NAME}", headers=of)
        said = " ".join(answer.json()["warnings"])
    else:
        body = {"slug": NAME}
        answer = api.delete("/api/v1/registry/register", body, format="json", headers=of)
        said = answer["X-Saga-Warning"]

    assert TEXT in said


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_nothing_is_said_where_nothing_ran(api: APIClient) -> None:
    target = running()  # noqa: F811
    Target.objects.update(current_version="")

    answer = api.delete(f"/api/v1/services/{NAME}", headers=headers("registry:manage"))
    deleted = api.delete(f"/api/v1/targets/{target.pk}", headers=headers("targets:write"))

    assert "warnings" not in answer.json()
    assert "X-Saga-Warning" not in deleted.headers


@pytest.mark.django_db
def test_stopping_asks_the_workers_of_the_nodes_of_all_instances(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = running(instances=[{"id": "a"}])
    child = Target.objects.create(service=parent.service, name="web-a", parent=parent, node="far")
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr("saga_project.shared.wakeups._send", lambda *task: sent.append(task))

    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = api.post(f"/api/v1/targets/{parent.pk}/stop", headers=headers("targets:write"))

    assert (answer.status_code, answer.json()["status"]) == (202, "stopping")
    assert sent == [("updates.stop_target", (child.pk,), "node.far")]


@pytest.mark.django_db
def test_a_target_that_cannot_be_stopped_says_so() -> None:
    target = running()  # noqa: F811

    removals.stop(target.pk)

    [data] = reported("target.stopped")
    assert (data["target"], data["version"], data["may_still_run"]) == ("web", "1.0.0", True)
    target.refresh_from_db()
    assert target.current_version == "1.0.0"


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_an_agent_that_takes_too_long_to_stop_a_target_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Node.objects.create(
        name="web1",
        status=Node.Status.APPROVED,
        account=accounts.ensure_account("node.web1", scopes=[]),
        joined_at=timezone.now(),
    )
    nodes.note_agent("web1")
    monkeypatch.setattr(removals, "DEADLINE_SECONDS", -1.0)
    target = running(node="web1")  # noqa: F811

    removals.stop(target.pk)

    [data] = reported("target.stopped")
    assert data["may_still_run"] is True
    assert not NodeOrder.objects.exists()


@pytest.mark.django_db
def test_nothing_is_stopped_under_a_live_job() -> None:
    target = running()  # noqa: F811
    factories.JobFactory.create(service=target.service, status=Job.Status.RUNNING)

    with pytest.raises(JobInProgress):
        operations.stop_target(target, by=accounts.staff("sam"), now=timezone.now())
    removals.stop(target.pk)

    assert reported("target.stopped")[0]["may_still_run"] is True


@pytest.mark.django_db(transaction=True)
def test_a_container_is_removed(engine: Engine, target: Target) -> None:  # noqa: F811
    service: Service = target.service
    deploy(service, "1.0.0")
    assert list(engine.containers) == ["saga-shop-web"]

    removals.stop(target.pk)
    removals.stop(target.pk)  # as a task may run twice

    assert engine.containers == {}
    assert [data["may_still_run"] for data in reported("target.stopped")] == [False, False]
    target.refresh_from_db()
    assert target.current_version == ""
