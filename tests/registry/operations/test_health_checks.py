"""What the results of checks make of an instance, and how much of the time a service was up."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import TestCase
from django.utils import timezone
from rest_framework.test import APIClient

from registry import operations
from registry.background.checking import sharing
from registry.models import (
    CheckedInstance,
    Checker,
    CheckTransition,
    CheckVerdict,
    Event,
    HealthCheck,
    Instance,
    Service,
)
from registry.operations import check_results, uptime
from registry.operations.check_results import Observation
from tests.api_clients import CommittingClient

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

CHECKS = "/api/v1/checks"
PASSING, CRITICAL, UNKNOWN = CheckVerdict.PASSING, CheckVerdict.CRITICAL, CheckVerdict.UNKNOWN


@pytest.fixture
def api() -> APIClient:
    return CommittingClient(SERVER_NAME="localhost")


@pytest.fixture
def lease() -> sharing.CheckerLease:
    lease = sharing.CheckerLease(node="local")
    lease.renew()
    return lease


@pytest.fixture
def check(redis: object, api: APIClient) -> HealthCheck:
    """A check of a service with the instances ``a`` and ``b``."""
    for instance_id in ("a", "b"):
        body = {
            "service_name": "pay",
            "service_url": f"http://127.0.0.1:9/{instance_id}",
            "instance_id": instance_id,
            "ttl": 3600,
        }
        assert api.post("/api/v1/services/register", body, format="json").status_code == 200
    made = api.post(CHECKS, {"service_name": "pay", "name": "live", "url": "/up"}, format="json")
    assert made.status_code == 201, made.json()
    return HealthCheck.objects.get()


def observe(
    lease: sharing.CheckerLease,
    check: HealthCheck,
    verdict: str,
    *,
    instance_id: str = "a",
    **given: Any,
) -> None:
    seen = Observation(
        check_id=check.pk,
        service_id=check.service_id,
        instance_id=instance_id,
        verdict=verdict,
        reason="The answer was 503." if verdict == CRITICAL else "",
        **{"age_seconds": 0.0, **given},
    )
    with TestCase.captureOnCommitCallbacks(execute=True):
        check_results.record([seen], checker=lease.token)


def healths(api: APIClient) -> dict[str, str]:
    rows = api.get("/api/v1/services/pay/instances").json()["instances"]
    return {row["instance_id"]: row["health"] for row in rows}


def reported() -> list[str]:
    rows = Event.objects.exclude(type="service.registered").order_by("pk")
    return [row.type for row in rows]


def test_failing_check_makes_an_instance_critical_and_a_passing_one_restores_it(
    api: APIClient, lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    observe(lease, check, PASSING)
    observe(lease, check, CRITICAL)
    during = healths(api)
    resolved = {api.get("/api/v1/services/pay/resolve").json()["instance_id"] for _ in range(10)}
    observe(lease, check, PASSING)

    assert during == {"a": "critical", "b": "passing"}
    assert resolved == {"b"}
    assert healths(api) == {"a": "passing", "b": "passing"}
    assert reported() == ["check.failed", "health.changed", "check.recovered", "health.changed"]
    assert Instance.objects.get(instance_id="a").state == Instance.State.LIVE


def test_the_worse_of_heartbeat_and_check_counts(
    api: APIClient, lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    def beat(status: str) -> None:
        body = {"instance_id": "a", "status": status}
        path = "/api/v1/services/pay/heartbeat"
        assert api.post(path, body, format="json").status_code == 200

    beat("warning")
    observe(lease, check, PASSING)
    warned = healths(api)["a"]
    observe(lease, check, CRITICAL)
    beat("passing")
    failing = healths(api)["a"]
    revision = Service.objects.get().revision
    beat("passing")

    assert (warned, failing) == ("warning", "critical")
    assert Service.objects.get().revision == revision  # no news: nothing is written
    observe(lease, check, PASSING)
    assert healths(api)["a"] == "passing"


def test_same_verdict_again_changes_nothing(
    lease: sharing.CheckerLease, check: HealthCheck, api: APIClient
) -> None:
    observe(lease, check, CRITICAL)
    before = reported()
    observe(lease, check, CRITICAL)

    assert reported() == before
    assert CheckTransition.objects.count() == 1


@pytest.mark.parametrize("how", ["delete", "disable"])
def test_results_of_a_check_that_is_taken_away_count_no_more(
    api: APIClient, lease: sharing.CheckerLease, check: HealthCheck, how: str
) -> None:
    observe(lease, check, CRITICAL)
    path = f"{CHECKS}/{check.pk}"
    if how == "delete":
        assert api.delete(path).status_code == 204
    else:
        assert api.patch(path, {"is_enabled": False}, format="json").status_code == 200

    assert healths(api)["a"] == "passing"
    observe(lease, check, CRITICAL)  # from a checker that has not read it yet
    assert healths(api)["a"] == "passing"


def test_process_whose_lease_expired_writes_nothing(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    Checker.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    with pytest.raises(check_results.NoChecker):
        observe(lease, check, CRITICAL)
    assert not CheckedInstance.objects.exists()
    assert lease.renew() is False
    assert lease.renew() is True


def test_certificate_that_expires_soon_is_reported_once_a_day(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    soon = (timezone.now() + dt.timedelta(days=3)).timestamp()
    for _ in range(2):
        observe(lease, check, PASSING, certificate_expires_at=soon)
    CheckedInstance.objects.update(warned_at=timezone.now() - dt.timedelta(days=2))
    observe(lease, check, PASSING, certificate_expires_at=soon)

    assert reported() == ["check.certificate_expires"] * 2


def test_checks_are_shared_by_the_living_and_by_node(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    other, elsewhere = (
        sharing.CheckerLease(node="other"),
        sharing.CheckerLease(node="web1", is_general=False),
    )
    HealthCheck.objects.create(service=check.service, name="near", node="web1", url="/near")
    for each in (other, elsewhere):
        each.renew()

    def shares() -> list[set[tuple[int, str]]]:
        return [set(sharing.load(each, each.signature()[1])) for each in (lease, other, elsewhere)]

    first, second, near = shares()
    assert first | second == {(check.pk, "a"), (check.pk, "b")}
    assert not first & second
    assert {instance_id for _, instance_id in near} == {"a", "b"}
    other.give_up()
    assert shares()[0] == {(check.pk, "a"), (check.pk, "b")}


def test_signature_notices_changes_of_checks_instances_and_members(
    api: APIClient, lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    seen = [lease.signature()]
    api.patch(f"{CHECKS}/{check.pk}", {"interval_seconds": 60}, format="json")
    seen.append(lease.signature())
    api.delete("/api/v1/services/pay?instance_id=b")
    seen.append(lease.signature())
    sharing.CheckerLease(node="other").renew()
    seen.append(lease.signature())

    assert len(set(seen)) == 4
    assert lease.signature() == seen[-1]


# --- The resource -----------------------------------------------------------------------------------


WRONG: list[dict[str, Any]] = [
    {"url": "ftp://x/"},
    {"url": "http://user:pw@x/"},
    {"kind": "tcp", "url": "http://127.0.0.1/"},
    {"kind": "ping"},
    {"interval_seconds": 0},
    {"interval_seconds": "10"},
    {"timeout_seconds": 61},
    {"failures_before_critical": 0},
    {"expected_status": "2xx"},
    {"expected_status": "299-200"},
    {"json_pointer": "status"},
    {"port": 70_000},
    {"unknown": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_checks_are_refused(
    api: APIClient, check: HealthCheck, wrong: dict[str, Any]
) -> None:
    body = {"service_name": "pay", "name": "second", **wrong}

    assert api.post(CHECKS, body, format="json").status_code == 400
    assert api.patch(f"{CHECKS}/{check.pk}", wrong, format="json").status_code == 400


def test_stale_change_of_a_check_is_refused(api: APIClient, check: HealthCheck) -> None:
    path = f"{CHECKS}/{check.pk}"
    etag = api.get(path)["ETag"]
    api.patch(path, {"interval_seconds": 60}, format="json")

    answer = api.patch(path, {"interval_seconds": 5}, format="json", headers={"If-Match": etag})
    assert answer.status_code == 412
    assert (
        api.post(CHECKS, {"service_name": "pay", "name": "live"}, format="json").status_code == 409
    )


def test_existing_health_check_urls_alone_are_not_called(
    api: APIClient, lease: sharing.CheckerLease
) -> None:
    body = {
        "service_name": "old",
        "service_url": "http://127.0.0.1:9",
        "health_check_url": "http://127.0.0.1:9/up",
    }
    api.post("/api/v1/services/register", body, format="json")

    assert not sharing.has_checks("local", is_general=True)
    assert sharing.load(lease, lease.signature()[1]) == {}


# --- Uptime -----------------------------------------------------------------------------------------


NOW = dt.datetime(2030, 1, 2, tzinfo=dt.UTC)


def hours(*pairs: tuple[float, str]) -> uptime.Course:
    """A course by hours before now."""
    return [(NOW - dt.timedelta(hours=before), verdict) for before, verdict in pairs]


@pytest.mark.parametrize(
    ("courses", "percent", "checked_hours"),
    [
        ({}, None, 0),
        ({"a": [hours((100, PASSING))]}, 100.0, 24),
        ({"a": [hours((6, PASSING))]}, 100.0, 6),
        ({"a": [hours((100, PASSING), (6, CRITICAL))]}, 75.0, 24),
        ({"a": [hours((100, PASSING), (12, UNKNOWN), (6, CRITICAL))]}, 66.6667, 18),
        # Another instance is up meanwhile.
        ({"a": [hours((100, CRITICAL))], "b": [hours((100, PASSING), (6, CRITICAL))]}, 75.0, 24),
        # All checks of an instance must pass.
        ({"a": [hours((100, PASSING)), hours((100, PASSING), (12, CRITICAL))]}, 50.0, 24),
    ],
)
def test_service_is_up_while_an_instance_passes_all_checks(
    courses: dict[str, list[uptime.Course]], percent: float | None, checked_hours: float
) -> None:
    line = uptime.combined(courses)
    share = uptime.share_of(line, since=NOW - dt.timedelta(hours=24), until=NOW)

    assert share == uptime.Share(percent=percent, checked_seconds=checked_hours * 3600)


@pytest.fixture
def past(lease: sharing.CheckerLease, check: HealthCheck) -> None:
    """Passing since two days ago, critical for the last six hours."""
    observe(lease, check, PASSING)
    observe(lease, check, CRITICAL)
    now = timezone.now()
    for row, age in zip(CheckTransition.objects.order_by("pk"), (48, 6), strict=True):
        CheckTransition.objects.filter(pk=row.pk).update(at=now - dt.timedelta(hours=age))


@pytest.mark.usefixtures("past")
def test_uptime_is_shown_with_results_and_changes(api: APIClient, check: HealthCheck) -> None:
    body = api.get("/api/v1/services/pay/uptime?limit=1").json()

    assert body["uptime"]["24h"]["percent"] == pytest.approx(75, abs=0.1)
    assert body["uptime"]["90d"]["percent"] == pytest.approx(87.5, abs=0.1)
    assert body["uptime"]["90d"]["checked_seconds"] == pytest.approx(48 * 3600, abs=60)
    assert [(row["old"], row["new"]) for row in body["transitions"]] == [("passing", "critical")]
    assert body["checks"][0]["reason"] == "The answer was 503."
    assert api.get("/api/v1/services/none/uptime").status_code == 404


@pytest.mark.usefixtures("past")
def test_time_without_a_checker_counts_for_neither_side(
    api: APIClient, lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    now = timezone.now()
    CheckedInstance.objects.update(checked_at=now - dt.timedelta(hours=3))
    silent = api.get("/api/v1/services/pay/uptime").json()["uptime"]["24h"]
    observe(lease, check, CRITICAL)
    again = api.get("/api/v1/services/pay/uptime").json()["uptime"]["24h"]

    for share in (silent, again):
        assert share["checked_seconds"] == pytest.approx(21 * 3600, abs=60)
        assert share["percent"] == pytest.approx(100 * 18 / 21, abs=0.1)
    assert Instance.objects.get(instance_id="a").combined_health == "critical"


def test_old_changes_are_purged_and_what_held_before_is_known(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    observe(lease, check, PASSING)
    observe(lease, check, CRITICAL)
    first, second = CheckTransition.objects.order_by("pk")
    now = timezone.now()
    CheckTransition.objects.filter(pk=first.pk).update(at=now - dt.timedelta(days=200))
    CheckTransition.objects.filter(pk=second.pk).update(at=now - dt.timedelta(days=45))

    assert uptime.purge(now=now) == 1
    assert uptime.of(check.service, now=now, limit=1).shares["90d"].percent == pytest.approx(50)


def test_moment_of_a_check_is_flushed_and_never_goes_back(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    observe(lease, check, PASSING, age_seconds=60.0)
    check_results.note_checked([(check.pk, "a", 10.0), (check.pk, "gone", 1.0)])
    first = CheckedInstance.objects.get().checked_at
    check_results.note_checked([(check.pk, "a", 1000.0)])

    assert CheckedInstance.objects.get().checked_at == first
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp() - %s)", [first])
        assert 9 < cursor.fetchone()[0] < 50


def test_a_service_that_left_takes_no_results(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        operations.deregister("pay", by=None, now=timezone.now())
    observe(lease, check, CRITICAL)

    assert "check.failed" not in reported()


def test_two_verdicts_in_one_batch_are_both_on_record(
    lease: sharing.CheckerLease, check: HealthCheck
) -> None:
    seen = [
        Observation(
            check_id=check.pk,
            service_id=check.service_id,
            instance_id="a",
            verdict=verdict,
            reason="",
            age_seconds=age_seconds,
        )
        for verdict, age_seconds in ((CRITICAL, 2.0), (PASSING, 1.0))
    ]

    for _ in range(2):  # the row is new, then known
        with TestCase.captureOnCommitCallbacks(execute=True):
            check_results.record(seen, checker=lease.token)

    assert CheckedInstance.objects.get().verdict == PASSING
    moves = CheckTransition.objects.order_by("pk").values_list("old", "new")
    assert list(moves) == [
        (UNKNOWN, CRITICAL),
        (CRITICAL, PASSING),
        (PASSING, CRITICAL),
        (CRITICAL, PASSING),
    ]
