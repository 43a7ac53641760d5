"""A person acknowledges an alert: that is sent once, and not repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from saga_project.shared import crypto
from tests.api_clients import Bearer
from tests.factories import ConfigurationFactory, EndpointFactory, NotificationRuleFactory
from tests.webhooks.outbound.alerts.test_alerts import at, happen, pager, send  # noqa: F401 (fixture)
from updates.models import AuditEntry
from webhooks import errors
from webhooks.models import Alert, Delivery, Endpoint
from webhooks.operations import alerts
from webhooks.outbound import rendering
from webhooks.outbound.alerts import sending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def degraded(seconds: float = 0) -> Alert:
    happen("service.degraded", seconds=seconds, consecutive_misses=3)
    return Alert.objects.get()


@pytest.mark.usefixtures("pager")
def test_an_acknowledgement_is_sent_and_the_alert_not_repeated() -> None:
    NotificationRuleFactory.create(event_types=["service.degraded"], repeat_every_seconds=60)
    alert = degraded()
    first = send()

    for _ in range(2):
        alerts.acknowledge_alert(alert.pk, by="sam", now=at(10))
    reported = [send(10), send(70), send(700)]
    happen("service.recovered", seconds=800)

    assert first == ["Degraded: 3 heartbeats were missed."]
    assert reported == [["Acknowledged by sam: Degraded: 3 heartbeats were missed."], [], []]
    assert send(800) == ["Resolved: Degraded: 3 heartbeats were missed."]
    assert AuditEntry.objects.get(action="alert.acknowledged").actor == "sam"


@pytest.mark.usefixtures("pager")
def test_an_acknowledgement_waits_for_the_digest() -> None:
    NotificationRuleFactory.create(event_types=["service.degraded"], digest="daily")
    alert = degraded()
    first = send(24 * 3600)
    alerts.acknowledge_alert(alert.pk, by="sam", now=at(25 * 3600))

    assert len(first) == 1
    assert send(25 * 3600) == []
    assert send(48 * 3600) == ["Acknowledged by sam: Degraded: 3 heartbeats were missed."]


@pytest.mark.usefixtures("pager")
def test_an_alert_that_was_not_sent_yet_is_not_sent_any_more() -> None:
    NotificationRuleFactory.create(event_types=["service.degraded"], delay_seconds=60)
    alert = degraded()

    alerts.acknowledge_alert(alert.pk, by="sam", now=at(10))

    assert send(100) == []


@pytest.mark.usefixtures("pager")
def test_an_acknowledged_alert_that_becomes_worse_is_reported_anew() -> None:
    NotificationRuleFactory.create(event_types=["service.*"])
    alert = degraded()
    send()
    alerts.acknowledge_alert(alert.pk, by="sam", now=at(10))
    send(10)

    happen("service.unreachable", seconds=20, consecutive_misses=9)

    assert send(20) == ["Unreachable: 9 heartbeats were missed."]
    assert alerts.acknowledge_alert(alert.pk, by="ada", now=at(30)).acknowledged_by == "ada"


@pytest.mark.usefixtures("pager")
def test_an_alert_that_has_ended_cannot_be_acknowledged() -> None:
    NotificationRuleFactory.create(event_types=["service.degraded"])
    alert = degraded()
    happen("service.recovered", seconds=5)

    with pytest.raises(errors.AlertEnded):
        alerts.acknowledge_alert(alert.pk, by="sam", now=at(10))
    with pytest.raises(errors.AlertNotFound):
        alerts.acknowledge_alert(alert.pk + 1, by="sam", now=at(10))


def test_pagerduty_acknowledges_its_incident() -> None:
    EndpointFactory.create(
        configuration=ConfigurationFactory.create(service=None, is_administered=True),
        format="pagerduty",
        sealed_secret=crypto.encrypt("key"),
    )
    NotificationRuleFactory.create(event_types=["service.degraded"])
    alert = degraded()
    reported = sending.send_due(now=at(0))
    alerts.acknowledge_alert(alert.pk, by="sam", now=at(10))
    reported += sending.send_due(now=at(10))
    happen("service.recovered", seconds=20)
    reported += sending.send_due(now=at(20))

    assert [row.payload["event_action"] for row in reported] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert len({row.payload["dedup_key"] for row in reported}) == 1


def test_the_api_acknowledges_alerts_of_the_callers_services(
    api: APIClient,
    pager: Any,  # noqa: F811
    bearer: Bearer,
) -> None:
    NotificationRuleFactory.create(event_types=["service.degraded"])
    alert = degraded()
    path = f"/api/v1/alerts/{alert.pk}/acknowledge"
    ops, reader = bearer("webhooks:manage", account="ops"), bearer("services:read", account="r")

    assert api.post(path, headers=reader).status_code == 403
    answer = api.post(path, headers=ops)
    assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, "ops")
    assert api.post("/api/v1/alerts/0/acknowledge", headers=ops).status_code == 404
    assert api.post("/api/v1/alerts/x/acknowledge", headers=ops).status_code == 404


# --- Slack changes its first message ---


@pytest.fixture
def slack() -> Endpoint:
    endpoint: Endpoint = EndpointFactory.create(
        configuration=ConfigurationFactory.create(service=None, is_administered=True),
        url="https://slack.com/api/chat.postMessage",
        format="slack",
        options={"channel": "C0123456"},
        sealed_secret=crypto.encrypt("xoxb-1"),
    )
    return endpoint


def ended() -> Delivery:
    """The message about the end of what the first message reported."""
    NotificationRuleFactory.create(event_types=["service.degraded"])
    degraded()
    [first] = sending.send_due(now=at(0))
    Delivery.objects.filter(pk=first.pk).update(remote_id="170.1")
    happen("service.recovered", seconds=20)
    [last] = sending.send_due(now=at(20))
    return Delivery.objects.get(pk=last.pk)


@pytest.mark.usefixtures("slack")
def test_the_end_changes_the_first_message_in_slack() -> None:
    message = rendering.render(ended())

    assert message.url == "https://slack.com/api/chat.update"
    body = json.loads(message.body)
    assert (body["ts"], body["blocks"], "thread_ts" in body) == ("170.1", [], False)
    assert "Resolved" in body["text"]


@pytest.mark.usefixtures("slack")
def test_a_message_that_cannot_be_changed_gets_an_answer_in_its_thread() -> None:
    delivery = ended()
    delivery.attempt_count = 1

    message = rendering.render(delivery)

    assert (message.url, json.loads(message.body)["thread_ts"]) == ("", "170.1")


def test_a_channel_that_is_named_by_its_name_gets_answers_in_the_thread(slack: Endpoint) -> None:
    Endpoint.objects.update(options={"channel": "#ops"})

    message = rendering.render(ended())

    assert (message.url, json.loads(message.body)["thread_ts"]) == ("", "170.1")
