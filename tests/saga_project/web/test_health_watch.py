"""What /health says is published by events, and by messages that need no other process."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from registry.background import work_slots
from registry.models import Event
from saga_project.web import health, health_watch, problems
from saga_project.web.problems import Level, Problem
from tests import waiting
from tests.factories import ConfigurationFactory, EndpointFactory
from webhooks.models import Delivery
from webhooks.outbound.alerts import defaults, sweep

pytestmark = pytest.mark.usefixtures("redis")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """The problems that the next round sees."""
    found: list[Problem] = []
    monkeypatch.setattr(
        health, "examine", lambda: health.Health(True, True, True, None, list(found))
    )
    return found


def reported() -> list[tuple[str, str]]:
    rows = Event.objects.filter(type__startswith="saga.").order_by("pk")
    return [(event.type, event.data["check"]) for event in rows]


@pytest.mark.django_db
def test_a_problem_is_an_event_when_it_begins_worsens_and_ends(
    seen: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "sweep", lambda: 0)
    watch = health_watch.HealthWatch()

    for level in (None, Level.DEGRADED, Level.DEGRADED, Level.UNHEALTHY, None, None):
        seen[:] = [Problem("sweeps", level, "late")] if level else []
        watch.round()

    assert reported() == [
        ("saga.degraded", "sweeps"),
        ("saga.unhealthy", "sweeps"),
        ("saga.recovered", "sweeps"),
    ]


@pytest.mark.django_db
def test_another_process_goes_on_with_what_was_reported(
    seen: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "sweep", lambda: 0)
    first, second = health_watch.HealthWatch(), health_watch.HealthWatch()
    seen[:] = [Problem("queues", Level.DEGRADED, "no worker")]

    first.round()
    second.round()  # the first one has the lease
    first.give_up()
    second.round()
    seen[:] = []
    second.round()

    assert reported() == [("saga.degraded", "queues"), ("saga.recovered", "queues")]
    assert work_slots.held(work_slots.HEALTH) == 1


@pytest.mark.django_db
def test_redis_that_is_gone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "sweep", lambda: 0)
    monkeypatch.setattr(health, "examine", lambda: health.Health(True, False, False, None, []))

    health_watch.HealthWatch().round()

    assert reported() == [("saga.unhealthy", "redis")]


@pytest.mark.django_db(transaction=True)
def test_the_message_goes_out_without_sweeps_workers_and_broker(
    seen: list[Problem], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("")
    configuration = ConfigurationFactory.create(service=None, is_administered=True)
    EndpointFactory.create(configuration=configuration, url=httpserver.url_for("/hook"))
    defaults.ensure()
    waiting.until_events_are_readable()
    seen[:] = [Problem("sweeps", Level.DEGRADED, "The last sweep was 9 s ago.")]
    watch = health_watch.HealthWatch()

    def is_reported() -> bool:
        watch.round()
        return Delivery.objects.filter(status=Delivery.Status.DELIVERED).exists()

    waiting.until(is_reported)

    [(request, _)] = httpserver.log
    body = request.get_json()
    assert body["data"]["message"] == "Saga is degraded: The last sweep was 9 s ago."
    assert body["data"]["severity"] == "warning"


def test_of_two_problems_of_a_check_the_worse_counts() -> None:
    found = [
        Problem("queues", Level.UNHEALTHY, "worse"),
        Problem("queues", Level.DEGRADED, "bad"),
    ]

    seen = health_watch.problems_of(health.Health(True, True, True, None, found))

    assert seen == {"queues": ("unhealthy", "worse")}
    assert problems.Level.UNHEALTHY.word == "unhealthy"
