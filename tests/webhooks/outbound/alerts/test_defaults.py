"""The rules that come with the first channel."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from registry.identity import accounts
from registry.models import Event
from registry.operations import configured
from tests.factories import EndpointFactory, ServiceFactory
from tests.webhooks.outbound.alerts.test_alerts import at, happen, pager, send  # noqa: F401 (fixture)
from webhooks import operations
from webhooks.models import Delivery, NotificationRule
from webhooks.operations import rules
from webhooks.outbound.alerts import catalogue, defaults, reading, sending

pytestmark = pytest.mark.django_db


def configure(name: str = "", **endpoints: str) -> None:
    operations.configure(
        name,
        endpoints=endpoints,
        secret=operations.UNSET,
        by=accounts.staff("root"),
        now=timezone.now(),
    )


def test_the_first_channel_brings_the_default_rules_once() -> None:
    configure(slack="https://hooks.example/1")
    first = list(NotificationRule.objects.order_by("pk").values_list("default_key", flat=True))
    NotificationRule.objects.filter(default_key="saga").delete()
    configure("shop", pager="https://hooks.example/2")

    assert first == list(defaults.RULES)
    assert NotificationRule.objects.count() == len(defaults.RULES) - 1


def test_a_configuration_without_channels_brings_none() -> None:
    operations.configure(
        "", endpoints=None, secret="s" * 32, by=accounts.staff("root"), now=timezone.now()
    )

    assert not NotificationRule.objects.exists()


def test_default_rules_are_valid_and_cover_events_that_exist() -> None:
    defaults.ensure()

    for rule in NotificationRule.objects.all():
        assert configured.find_faults(rules.RULE, rule) == {}
        known = (*catalogue.KINDS, "health.changed")
        assert any(reading.covers(rule, kind, "shop", "critical", {}) for kind in known), rule


@pytest.mark.parametrize(
    ("kind", "data", "seconds"),
    [
        ("deployment.failed", {"job_id": "deploy-1", "error": "x"}, 5),
        ("deployment.rolled_back", {"job_id": "deploy-1", "error": "x"}, 5),
        ("update.awaiting_approval", {"version": "2"}, 5),
        ("service.expired", {"instance_id": "i-1"}, 90),
        ("service.degraded", {}, 90),
        ("protection.began", {}, 0),
        ("delivery.dead", {}, 60),
        ("update.check_failed", {"reason": "x"}, 360),
        ("token.expires", {}, 60),
        ("check.certificate_expires", {}, 60),
        ("saga.degraded", {"check": "sweeps", "message": "x"}, 0),
    ],
)
@pytest.mark.usefixtures("pager")
def test_default_rules_report_what_staff_must_know(
    kind: str, data: dict[str, Any], seconds: int
) -> None:
    defaults.ensure()

    happen(kind, **data)

    assert len(send(seconds)) == 1


@pytest.mark.parametrize(
    "kind", ["service.registered", "deployment.succeeded", "release.announced", "update.approved"]
)
@pytest.mark.usefixtures("pager")
def test_default_rules_report_nothing_of_what_goes_well(kind: str) -> None:
    defaults.ensure()

    happen(kind, instance_id="i-1", version="1")

    assert send(3600 * 24) == []


def test_every_channel_is_the_services_own_and_the_global_ones_of_other_names(pager) -> None:  # noqa: F811
    shop = ServiceFactory.create(name="shop")
    own = EndpointFactory.create(configuration__service=shop, url="http://127.0.0.1:2/own")
    slack = EndpointFactory.create(configuration=pager.configuration, channel="slack")
    defaults.ensure()

    happen("protection.began", "shop")
    sending.send_due(now=at(0))

    assert {row.endpoint_id for row in Delivery.objects.all()} == {own.pk, slack.pk}


@pytest.mark.usefixtures("pager")
def test_an_answer_ends_the_wait_for_an_approval() -> None:
    defaults.ensure()
    for version in ("2.0", "2.1"):
        happen("update.awaiting_approval", version=version)
        happen("update.awaiting_approval", version=version)
    happen("update.approved", seconds=60, version="2.1", by="ada")

    reported = send(120)

    assert len(reported) == 1
    assert not send(dt.timedelta(days=2).total_seconds())
    assert not Event.objects.exists()
