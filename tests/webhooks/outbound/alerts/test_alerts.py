"""Rules find problems in the events, and report each beginning and end once."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from registry import events
from registry.events import EventDraft, log
from registry.identity import accounts
from registry.models import Event
from saga_project.shared import transitions, wakeups
from tests import waiting
from tests.factories import (
    ConfigurationFactory,
    EndpointFactory,
    NotificationRuleFactory,
    ServiceFactory,
)
from webhooks import retention
from webhooks.models import Alert, AlertCursor, Delivery, Flapping, NotificationRule
from webhooks.outbound.alerts import flapping, reading, sending, sweep

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
_numbers = itertools.count(1)


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def happen(kind: str, name: str = "shop", seconds: float = 0, **data: Any) -> None:
    """Read one event at so many seconds."""
    cursor = log.Cursor(next(_numbers), 1)
    reading.apply([log.Entry(cursor, kind, name, at(seconds), data)], now=at(seconds))


def send(seconds: float = 0) -> list[str]:
    """Return the messages that are due at so many seconds."""
    return [row.payload["data"]["message"] for row in sending.send_due(now=at(seconds))]


@pytest.fixture
def pager() -> Any:
    """A global channel that an administrator has set."""
    configuration = ConfigurationFactory.create(service=None, is_administered=True)
    return EndpointFactory.create(configuration=configuration)


@pytest.mark.usefixtures("pager")
def test_a_problem_is_reported_once_when_it_begins_and_once_when_it_ends() -> None:
    NotificationRuleFactory.create()
    happen("service.degraded", consecutive_misses=3)
    reported = [send(), send(60)]
    happen("service.degraded", seconds=60, consecutive_misses=4)
    reported += [send(120)]
    happen("service.recovered", seconds=180)
    reported += [send(180), send(240)]

    assert reported[0] == ["Degraded: 3 heartbeats were missed."]
    assert reported[1:3] == [[], []]
    # The end, and the event itself: this rule sends every event.
    assert sorted(reported[3]) == [
        "Heartbeats arrive again.",
        "Resolved: Degraded: 4 heartbeats were missed.",
    ]
    assert reported[4] == []
    assert Alert.objects.get(problem="silent").occurrences == 2


@pytest.mark.usefixtures("pager")
@pytest.mark.parametrize("kind", ["release.withdrawn", "update.rejected", "deployment.queued"])
def test_wait_for_an_approval_ends_with_its_version_only(kind: str) -> None:
    NotificationRuleFactory.create(event_types=["update.*"])
    happen("update.awaiting_approval", version="2.0")

    happen(kind, version="1.9")
    before = Alert.objects.get(problem="approval").state
    happen(kind, version="2.0")

    assert (before, Alert.objects.get(problem="approval").state) == ("open", "resolved")


@pytest.mark.usefixtures("pager")
def test_a_problem_that_becomes_worse_is_reported_anew() -> None:
    NotificationRuleFactory.create()
    happen("service.degraded", consecutive_misses=3)
    first = send()
    happen("service.unreachable", seconds=60, consecutive_misses=10)

    assert (first, send(60)) == (
        ["Degraded: 3 heartbeats were missed."],
        ["Unreachable: 10 heartbeats were missed."],
    )
    assert Alert.objects.count() == 1


@pytest.mark.usefixtures("pager")
def test_ten_instances_that_expire_together_are_one_message() -> None:
    NotificationRuleFactory.create(group_seconds=10)
    for number in range(10):
        happen(
            "service.expired",
            seconds=number,
            instance_id=f"i-{number}",
            last_heartbeat="12:00",
        )
    early, reported = send(9), send(10)
    for number in range(10):
        happen("service.registered", seconds=60 + number, instance_id=f"i-{number}")
    resolved = [text for text in send(80) if text.startswith("Resolved")]

    assert early == []
    assert len(reported) == 1
    assert "10 × expired (i-0, i-1, i-2, i-3, i-4 and 5 more)" in reported[0]
    assert len(resolved) == 1
    assert "10 × expired" in resolved[0]
    assert send(600) == []


@pytest.mark.usefixtures("pager")
def test_a_problem_that_ends_within_the_delay_is_not_reported() -> None:
    NotificationRuleFactory.create(delay_seconds=120, event_types=["service.expired"])
    happen("service.expired", instance_id="i-1")
    happen("service.registered", seconds=119, instance_id="i-1")
    happen("service.expired", seconds=200, instance_id="i-1")
    happen("service.registered", seconds=330, instance_id="i-1")

    assert send(319) == []
    [late] = send(340)
    assert late.endswith("It has ended since.")
    assert send(3600) == []


@pytest.mark.usefixtures("pager")
def test_an_unresolved_problem_is_repeated() -> None:
    NotificationRuleFactory.create(repeat_every_seconds=3600)
    happen("update.check_failed", reason="no route")

    reported = [send(seconds) for seconds in (0, 3599, 3600, 7199, 7200)]

    text = "Its source cannot be read: no route"
    assert reported == [[text], [], [f"Still: {text}"], [], [f"Still: {text}"]]


@pytest.mark.usefixtures("pager")
def test_without_resolved_messages_the_end_is_silent() -> None:
    NotificationRuleFactory.create(sends_resolved=False, event_types=["update.check_failed"])
    happen("update.check_failed", reason="x")
    send()
    happen("update.check_recovered", seconds=60)

    assert send(600) == []
    assert Alert.objects.get().state == Alert.State.RESOLVED


@pytest.mark.usefixtures("pager")
def test_each_deployment_that_fails_is_reported_and_one_success_ends_them() -> None:
    NotificationRuleFactory.create(event_types=["deployment.failed", "deployment.rolled_back"])
    happen("deployment.failed", job_id="deploy-1", error="x")
    reported = [send()]
    happen("deployment.rolled_back", seconds=60, job_id="deploy-2", error="y", previous_version="1")
    reported += [send(60)]
    happen("deployment.succeeded", seconds=120, job_id="deploy-3", version="2")

    [resolved] = send(120)
    assert reported == [["deploy-1 failed: x"], ["deploy-2 was rolled back, 1 runs again: y"]]
    assert "2 × deployment (deploy-1, deploy-2)" in resolved


@pytest.mark.usefixtures("pager")
def test_an_acknowledgement_ends_the_need_for_attention_of_its_deployment_only() -> None:
    NotificationRuleFactory.create(event_types=["deployment.failed"])
    for job_id in ("deploy-1", "deploy-2"):
        happen("deployment.failed", job_id=job_id, error="x", needs_attention=True)
    happen("deployment.acknowledged", job_id="deploy-1", by="sam")

    left = Alert.objects.filter(state=Alert.State.OPEN)
    assert list(left.values_list("subject", flat=True)) == ["deploy-2"]


@pytest.mark.usefixtures("pager")
def test_each_check_of_an_instance_is_reported_and_ends_by_itself() -> None:
    NotificationRuleFactory.create(event_types=["check.failed"])
    for seconds, check in ((0, "live"), (60, "disk")):
        happen("check.failed", seconds=seconds, check=check, instance_id="i-1", reason="500")
    begun = send(60)
    happen("check.recovered", seconds=120, check="live", instance_id="i-1")
    ended = send(120)

    assert "2 × check (i-1 live, i-1 disk)" in begun[0]
    assert ended == ["Resolved: Check live of instance i-1 fails: 500"]
    assert Alert.objects.get(state=Alert.State.OPEN).subject == "i-1 disk"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("service.deregistered", {"instances": ["i-1"]}),
        ("health.changed", {"instance_id": "i-1", "old": "critical", "new": "passing"}),
    ],
)
def test_problems_of_checks_end_with_the_instance_or_its_last_check(
    kind: str, data: dict[str, Any]
) -> None:
    NotificationRuleFactory.create(event_types=["check.failed"])
    for instance_id in ("i-1", "i-10"):
        happen("check.failed", check="live", instance_id=instance_id, reason="500")
    happen(kind, **data)

    assert Alert.objects.get(state=Alert.State.OPEN).subject == "i-10 live"


@pytest.mark.usefixtures("pager")
def test_quiet_hours_hold_back_all_but_what_is_critical() -> None:
    NotificationRuleFactory.create(quiet_from=dt.time(12), quiet_until=dt.time(13))
    happen("deployment.failed", job_id="deploy-1", error="x")
    happen("deployment.failed", "mail", job_id="deploy-2", error="x", needs_attention=True)

    noon, one = send(), send(3600)

    assert noon == ["deploy-2 needs attention: x"]
    assert one == ["deploy-1 failed: x"]


@pytest.mark.usefixtures("pager")
def test_quiet_hours_that_were_set_later_hold_back_as_well() -> None:
    rule = NotificationRuleFactory.create(group_seconds=60)
    happen("update.check_failed", reason="x")
    NotificationRule.objects.filter(pk=rule.pk).update(
        quiet_from=dt.time(12), quiet_until=dt.time(13)
    )

    assert (send(60), len(send(3600))) == ([], 1)


@pytest.mark.usefixtures("pager")
def test_a_digest_is_one_message_a_day() -> None:
    NotificationRuleFactory.create(digest="daily", digest_at=dt.time(9))
    for name in ("mail", "pay", "shop"):
        happen("release.announced", name, version="1.2.3")

    before, reported = send(21 * 3600 - 1), send(21 * 3600)

    assert before == []
    assert reported[0].splitlines()[1:] == [
        f"{name}: Release 1.2.3 was announced." for name in ("mail", "pay", "shop")
    ]


@pytest.mark.usefixtures("pager")
@pytest.mark.parametrize(
    ("fields", "reported"),
    [
        ({"event_types": ["deployment.*"]}, True),
        ({"event_types": ["service.*"]}, False),
        ({"min_severity": "error"}, True),
        ({"min_severity": "critical"}, False),
        ({"service_glob": "sh*"}, True),
        ({"service_glob": "pay*"}, False),
        ({"selector": "env=prod,!legacy"}, True),
        ({"selector": "env!=prod"}, False),
        ({"is_enabled": False}, False),
    ],
)
def test_a_rule_selects_by_type_severity_and_service(
    fields: dict[str, Any], reported: bool
) -> None:
    ServiceFactory.create(name="shop", labels={"env": "prod"})
    NotificationRuleFactory.create(**fields)

    happen("deployment.failed", job_id="deploy-1", error="x")

    assert bool(send()) == reported


@pytest.mark.usefixtures("pager")
def test_a_rule_of_a_service_reports_no_other() -> None:
    NotificationRuleFactory.create(service=ServiceFactory.create(name="shop"))

    happen("lifecycle.crashed", "mail")
    happen("lifecycle.crashed", "shop")

    assert [alert.service_name for alert in Alert.objects.all()] == ["shop"]


@pytest.mark.usefixtures("pager")
def test_a_rule_that_was_switched_off_reports_nothing_more() -> None:
    rule = NotificationRuleFactory.create(group_seconds=60)
    happen("lifecycle.crashed")
    NotificationRule.objects.filter(pk=rule.pk).update(is_enabled=False)

    assert send(60) == []
    NotificationRule.objects.filter(pk=rule.pk).update(is_enabled=True)
    assert send(120) == []


def test_a_service_with_a_channel_of_its_own_is_reported_there(
    pager: Any, settings: Settings
) -> None:
    settings.SAGA_PUBLIC_URL = "https://saga.example"
    shop = ServiceFactory.create(name="shop")
    own = EndpointFactory.create(configuration__service=shop, url="http://127.0.0.1:2/own")
    NotificationRuleFactory.create()

    happen("lifecycle.crashed", "shop")
    happen("lifecycle.crashed", "mail")
    send()

    rows = {row.service_name: row for row in Delivery.objects.all()}
    assert {name: row.endpoint for name, row in rows.items()} == {"shop": own, "mail": pager}
    assert rows["shop"].url == "http://127.0.0.1:2/own"
    link = rows["shop"].payload["data"]["link"]
    assert link == "https://saga.example/admin/services/shop/"


def test_a_strangers_global_channel_gets_nothing_of_an_owned_service() -> None:
    ServiceFactory.create(name="shop", account=accounts.ensure_account("owner", scopes=[]))
    EndpointFactory.create(configuration=ConfigurationFactory.create(service=None))
    NotificationRuleFactory.create()

    happen("lifecycle.crashed", "shop")
    happen("lifecycle.crashed", "mail")
    send()

    assert [row.service_name for row in Delivery.objects.all()] == ["mail"]


@pytest.mark.usefixtures("pager")
def test_a_message_about_deliveries_makes_no_news_of_its_own() -> None:
    NotificationRuleFactory.create()
    happen("delivery.dead", topic="pager", attempts=7, reason="gone")
    happen("lifecycle.crashed")
    send()

    rows = Delivery.objects.order_by("payload__data__count", "pk")
    assert sorted(row.is_about_deliveries for row in rows) in ([False], [False, True])


@pytest.mark.usefixtures("pager")
def test_a_service_that_leaves_ends_its_problems() -> None:
    ServiceFactory.create(name="shop", status="deregistered")
    NotificationRuleFactory.create(event_types=["service.expired", "service.degraded"])
    happen("service.expired", instance_id="i-1")
    happen("service.degraded", consecutive_misses=3)
    happen("service.deregistered", instances=["i-2"])

    assert not Alert.objects.filter(state=Alert.State.OPEN).exists()


def test_states_of_alerts_follow_their_table() -> None:
    assert transitions.sources(Alert, Alert.State.RESOLVED) == ["open"]
    assert transitions.sources(Alert, Alert.State.OPEN) == []


def test_alerts_that_were_reported_are_purged() -> None:
    rule = NotificationRuleFactory.create()
    happen("lifecycle.crashed")
    Alert.objects.update(due_at=None)
    happen("release.announced", version="1")

    retention.purge(now=at(3600 * 24 * 400))

    assert [alert.problem for alert in rule.alerts.all()] == ["release.announced"]


# --- Flap damping ---------------------------------------------------------------------------------


def published() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("type", flat=True))


@pytest.mark.usefixtures("pager")
def test_what_flaps_is_reported_once_and_once_when_it_is_steady() -> None:
    NotificationRuleFactory.create(event_types=["service.expired", "service.flapping"])
    reported = []
    for number in range(20):
        happen("service.expired", seconds=number * 60, instance_id="i-1")
        reported += send(number * 60)
        happen("service.registered", seconds=number * 60 + 30, instance_id="i-1")
        reported += send(number * 60 + 30)
    happen("service.flapping", seconds=1200, instance_id="i-1", times=4)
    reported += send(1200)
    flapping.settle(now=at(19 * 60 + 599))
    early = published()
    flapping.settle(now=at(19 * 60 + 600))

    # Three falls and recoveries, then the flapping.
    assert len(reported) == 7
    assert reported[-1].startswith("Flapping: instance i-1 became ill 4 times")
    assert early == ["service.flapping"]
    assert published() == ["service.flapping", "service.steady"]
    assert not Flapping.objects.exists()


@pytest.mark.usefixtures("pager")
def test_what_is_still_ill_after_flapping_is_reported_then() -> None:
    NotificationRuleFactory.create(event_types=["service.expired"])
    for number in range(4):
        happen("service.expired", seconds=number, instance_id="i-1")
        happen("service.registered", seconds=number, instance_id="i-1")
    happen("service.expired", seconds=10, instance_id="i-1")
    before = send(20)
    flapping.settle(now=at(1000))

    # What was sent in one round began and ended within it.
    assert all("ended since" in text or "expired" in text for text in before)
    assert len(send(1000)) == 1


@pytest.mark.usefixtures("pager")
def test_what_is_still_ill_after_flapping_waits_for_the_digest() -> None:
    NotificationRuleFactory.create(event_types=["service.expired"], digest="daily")
    for number in range(4):
        happen("service.expired", seconds=number, instance_id="i-1")
    flapping.settle(now=at(1000))

    assert send(1000) == []
    assert len(send(21 * 3600)) == 1


@pytest.mark.usefixtures("pager")
def test_what_flaps_and_is_acknowledged_is_not_sent_afterwards() -> None:
    NotificationRuleFactory.create(event_types=["service.expired"], delay_seconds=60)
    for number in range(4):
        happen("service.expired", seconds=number, instance_id="i-1")
    Alert.objects.update(acknowledged_at=at(10), acknowledged_by="sam")
    flapping.settle(now=at(1000))

    assert send(1000) == []


@pytest.mark.usefixtures("pager")
def test_a_problem_that_becomes_worse_within_the_delay_is_put_off_no_further() -> None:
    NotificationRuleFactory.create(event_types=["service.*"], delay_seconds=60)
    happen("service.degraded", consecutive_misses=3)
    happen("service.unreachable", seconds=50, consecutive_misses=9)

    assert send(60) == ["Unreachable: 9 heartbeats were missed."]


@pytest.mark.usefixtures("pager")
def test_instances_of_one_service_do_not_flap_together() -> None:
    NotificationRuleFactory.create(event_types=["service.expired"])
    for number in range(20):
        happen("service.expired", seconds=number, instance_id=f"i-{number}")

    flapping.settle(now=at(10_000))

    assert published() == []
    assert not Flapping.objects.exists()


# --- The sweep ------------------------------------------------------------------------------------


def publish(kind: str, **data: Any) -> None:
    with transaction.atomic():
        events.publish(EventDraft(type=kind, service_name="shop", data=data))
    waiting.until_events_are_readable()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_reads_each_event_once_and_loses_none(
    redis: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = ConfigurationFactory.create(service=None, is_administered=True)
    EndpointFactory.create(configuration=configuration)
    NotificationRuleFactory.create()
    publish("lifecycle.crashed")
    waiting.until(lambda: sweep.sweep() or AlertCursor.objects.exists())

    assert not Alert.objects.exists()  # what happened before the first sweep is no news

    publish("update.check_failed", reason="one")
    publish("release.announced", version="2")
    with monkeypatch.context() as patch:  # killed after reading, before the commit
        patch.setattr(reading, "_keep", _killed)
        with pytest.raises(KeyboardInterrupt):
            sweep.sweep()
        assert not Alert.objects.exists()
    with monkeypatch.context() as patch:  # killed after the deliveries were made
        patch.setattr(wakeups, "wake", _killed)
        with pytest.raises(KeyboardInterrupt):
            sweep.sweep()
        assert (Alert.objects.count(), Delivery.objects.count()) == (2, 0)
    made = [sweep.sweep(), sweep.sweep()]

    assert made == [1, 0]
    assert Delivery.objects.get().payload["data"]["count"] == 2


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("pager")
@pytest.mark.django_db(transaction=True)
def test_a_round_without_anything_to_do_asks_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    NotificationRuleFactory.create()
    waiting.until(lambda: not sweep.sweep() and not sweep.is_anything_due(now=timezone.now()))

    with django_assert_num_queries(1):
        sweep.sweep()
    publish("update.check_failed", reason="one")
    assert sweep.is_anything_due(now=timezone.now())


@pytest.mark.usefixtures("pager")
@pytest.mark.django_db(transaction=True)
def test_the_cursor_of_another_database_is_replaced() -> None:
    far_ahead = log.head().transaction + 1_000_000
    AlertCursor.objects.create(pk=1, transaction=far_ahead, event=1)

    sweep.sweep()

    assert AlertCursor.objects.get().transaction < far_ahead


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(lambda: Flapping(last_fell_at=at(0), service_name="shop"), id="flapping"),
        pytest.param(
            lambda: Alert(
                rule=NotificationRuleFactory.create(),
                due_at=at(0),
                opened_at=at(0),
                severity="error",
            ),
            id="alert",
        ),
    ],
)
def test_what_is_due_is_found(row: Callable[[], Alert | Flapping]) -> None:
    log_head = log.head()
    AlertCursor.objects.create(pk=1, transaction=log_head.transaction, event=2**62)
    before = at(-1)
    row().save()

    assert not sweep.is_anything_due(now=before)
    assert sweep.is_anything_due(now=at(flapping.WINDOW.total_seconds()))
