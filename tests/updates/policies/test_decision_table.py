# ruff: noqa: E501 - a table is read along its rows
"""The policy's table: each row says what is so, what must follow, and why; plan and scheduler must agree.

It is noon of Monday, 2 March 2026, UTC. Unless a row says otherwise, the service runs 1.0.0 and its
release 1.1.0 was published a day ago.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from registry.models import Service
from tests import factories
from tests.factories import NOW
from updates import errors, operations
from updates.models import Approval, Freeze, HistoryEntry, Hold, Job, MaintenanceWindow, Release

pytestmark = pytest.mark.django_db

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
Fields = dict[str, Any]


@dataclass(frozen=True)
class Row:
    says: str
    policy: Fields
    expected: tuple[str, str | None]
    reason: str
    next_at: dt.datetime | None = None
    current: str | None = "1.0.0"
    releases: tuple[tuple[str, Fields], ...] = (("1.1.0", {}),)
    covers: tuple[Fields, ...] = ()
    window: Fields = field(default_factory=dict)
    freeze: Fields = field(default_factory=dict)
    failures: tuple[dt.timedelta, ...] = ()
    approval: str = ""
    has_live_job: bool = False


AUTO, APPROVE = {"kind": "auto"}, {"kind": "approve"}
AGED = {"kind": "auto", "minimum_age_seconds": 3 * 86400}
RANGED = {"kind": "auto", "version_range": ">=1,<2"}
OPEN = {"opens_at": dt.time(11), "duration_minutes": 120}
LATER = {"opens_at": dt.time(22), "duration_minutes": 60}
SATURDAY = {"opens_at": dt.time(11), "duration_minutes": 120, "weekdays": [5]}
IN_TOKYO = {"opens_at": dt.time(20, 30), "duration_minutes": 60, "time_zone": "Asia/Tokyo"}
FROZEN = {"starts_on": dt.date(2026, 3, 1), "ends_on": dt.date(2026, 3, 5)}
FROZEN_BEFORE = {"starts_on": dt.date(2026, 2, 1), "ends_on": dt.date(2026, 3, 1)}
TONIGHT = dt.datetime(2026, 3, 2, 22, tzinfo=dt.UTC)
THURSDAY = dt.datetime(2026, 3, 5, tzinfo=dt.UTC)

ROWS = [
    # --- Kinds
    Row("manual does nothing", {"kind": "manual"}, ("none", None), "manual"),
    Row("pinned stays", {"kind": "pinned"}, ("none", None), "pinned"),
    Row("auto deploys", AUTO, ("deploy", "1.1.0"), "newest eligible"),
    Row("approve asks", APPROVE, ("approve", "1.1.0"), "needs an approval"),
    Row("what was asked waits", APPROVE, ("wait", "1.1.0"), "waits for its", approval="pending"),
    Row("approved is deployed", APPROVE, ("deploy", "1.1.0"), "newest", approval="approved"),
    Row("rejected stays out", APPROVE, ("none", "1.1.0"), "rejected", approval="rejected"),
    Row("manual ignores windows", {"kind": "manual"}, ("none", None), "manual", window=OPEN),
    # --- Versions
    Row("nothing newer", AUTO, ("none", None), "Nothing newer", current="1.1.0"),
    Row("an older release is no update", AUTO, ("none", None), "Nothing newer", current="1.2.0"),
    Row("build metadata is no update", AUTO, ("none", None), "Nothing", current="1.1.0+build.2"),
    Row("1.10 is newer than 1.9", AUTO, ("deploy", "1.10.0"), "newest", current="1.9.0", releases=(("1.10.0", {}),)),
    Row("the newest of several", AUTO, ("deploy", "1.3.0"), "newest", releases=(("1.2.0", {}), ("1.3.0", {}), ("1.1.0", {}))),
    Row("the first deployment", AUTO, ("deploy", "1.1.0"), "newest", current=None),
    Row("no releases at all", AUTO, ("none", None), "Nothing newer", releases=()),
    Row("nothing to install", AUTO, ("none", "1.1.0"), "no artifact", releases=(("1.1.0", {"artifact_url": ""}),)),
    # --- Ranges
    Row("inside the range", RANGED, ("deploy", "1.1.0"), "newest"),
    Row("outside the range", RANGED, ("none", "2.0.0"), "outside the range", releases=(("2.0.0", {}),)),
    Row("newest inside the range", RANGED, ("deploy", "1.9.0"), "newest", releases=(("1.9.0", {}), ("2.0.0", {}))),
    Row("no pre-release of the bound", {**RANGED, "allows_prereleases": True}, ("none", "2.0.0-rc.1"), "outside", releases=(("2.0.0-rc.1", {}),)),
    # --- Pre-releases and channels
    Row("pre-releases are left out", AUTO, ("none", "1.2.0-rc.1"), "pre-release", releases=(("1.2.0-rc.1", {}),)),
    Row("a release before a pre-release", AUTO, ("deploy", "1.1.0"), "newest", releases=(("1.1.0", {}), ("1.2.0-rc.1", {}))),
    Row("pre-releases opted in", {"kind": "auto", "allows_prereleases": True}, ("deploy", "1.2.0-rc.1"), "newest", releases=(("1.1.0", {}), ("1.2.0-rc.1", {}))),
    Row("flagged by its source", AUTO, ("none", "1.2.0"), "pre-release", releases=(("1.2.0", {"is_marked_prerelease": True}),)),
    Row("another channel", {"kind": "auto", "channel": "stable"}, ("none", "1.1.0"), "not in the channel", releases=(("1.1.0", {"channel": "beta"}),)),
    Row("its channel", {"kind": "auto", "channel": "beta"}, ("deploy", "1.1.0"), "newest", releases=(("1.1.0", {"channel": "beta"}),)),
    # --- Age
    Row("too young", AGED, ("wait", "1.1.0"), "too young", NOW + 2 * DAY),
    Row("old enough", AGED, ("deploy", "1.1.0"), "newest", releases=(("1.1.0", {"published_at": NOW - 3 * DAY}),)),
    Row("a second too young", AGED, ("wait", "1.1.0"), "too young", NOW + dt.timedelta(seconds=1), releases=(("1.1.0", {"published_at": NOW - 3 * DAY + dt.timedelta(seconds=1)}),)),
    Row("no time of publication waits", AGED, ("wait", "1.1.0"), "age is unknown", releases=(("1.1.0", {"published_at": None}),)),
    Row("no time and no age asked", AUTO, ("deploy", "1.1.0"), "newest", releases=(("1.1.0", {"published_at": None}),)),
    Row("the newest that is old enough", AGED, ("deploy", "1.1.0"), "newest", releases=(("1.1.0", {"published_at": NOW - 9 * DAY}), ("1.2.0", {}))),
    Row("who comes of age first", AGED, ("wait", "1.1.0"), "too young", NOW + HOUR, releases=(("1.1.0", {"published_at": NOW - 3 * DAY + HOUR}), ("1.2.0", {}))),
    Row("approve asks when old enough", {**AGED, "kind": "approve"}, ("wait", "1.1.0"), "too young", NOW + 2 * DAY),
    # --- Skips and snoozes
    Row("skipped for good", AUTO, ("none", "1.1.0"), "skipped", covers=({"version": "1.1.0"},)),
    Row("skipped for a day", AUTO, ("wait", "1.1.0"), "skipped for now", NOW + DAY, covers=({"version": "1.1.0", "expires_at": NOW + DAY},)),
    Row("a skip that ended", AUTO, ("deploy", "1.1.0"), "newest", covers=({"version": "1.1.0", "expires_at": NOW - DAY},)),
    Row("the longest skip counts", AUTO, ("none", "1.1.0"), "skipped", covers=({"version": "1.1.0", "expires_at": NOW + DAY}, {"version": "1.1.0"})),
    Row("a skip of another version", AUTO, ("deploy", "1.1.0"), "newest", covers=({"version": "1.0.5"},)),
    Row("the one before a skipped one", AUTO, ("deploy", "1.1.0"), "newest", covers=({"version": "1.2.0"},), releases=(("1.1.0", {}), ("1.2.0", {}))),
    Row("snoozed", AUTO, ("wait", None), "snoozed", NOW + HOUR, covers=({"expires_at": NOW + HOUR},)),
    Row("a snooze that ended", AUTO, ("deploy", "1.1.0"), "newest", covers=({"expires_at": NOW},)),
    Row("snoozed before asking", APPROVE, ("wait", None), "snoozed", NOW + HOUR, covers=({"expires_at": NOW + HOUR},)),
    # --- Quarantine and withdrawal
    Row("quarantined", AUTO, ("none", "1.1.0"), "quarantined: it crashed", releases=(("1.1.0", {"state": "quarantined", "state_reason": "it crashed"}),)),
    Row("withdrawn", AUTO, ("none", "1.1.0"), "withdrawn", releases=(("1.1.0", {"state": "withdrawn"}),)),
    Row("the one after a quarantined one", AUTO, ("deploy", "1.2.0"), "newest", releases=(("1.1.0", {"state": "quarantined"}), ("1.2.0", {}))),
    Row("quarantine beats an approval", APPROVE, ("none", "1.1.0"), "quarantined", approval="approved", releases=(("1.1.0", {"state": "quarantined"}),)),
    # --- Windows and freezes
    Row("a window is open", AUTO, ("deploy", "1.1.0"), "newest", window=OPEN),
    Row("a window opens tonight", AUTO, ("wait", "1.1.0"), "No maintenance window", TONIGHT, window=LATER),
    Row("a window opens on Saturday", AUTO, ("wait", "1.1.0"), "No maintenance", NOW + 5 * DAY - HOUR, window=SATURDAY),
    Row("a window on Tokyo's clock", AUTO, ("deploy", "1.1.0"), "newest", window=IN_TOKYO),
    Row("a window that is switched off", AUTO, ("deploy", "1.1.0"), "newest", window={**LATER, "is_enabled": False}),
    Row("frozen", AUTO, ("wait", "1.1.0"), "Frozen by", THURSDAY, freeze=FROZEN),
    Row("a freeze that ended", AUTO, ("deploy", "1.1.0"), "newest", freeze=FROZEN_BEFORE),
    Row("a freeze beats an open window", AUTO, ("wait", "1.1.0"), "Frozen", THURSDAY + 11 * HOUR, window=OPEN, freeze=FROZEN),
    Row("staff are asked in a freeze", APPROVE, ("approve", "1.1.0"), "needs an approval", freeze=FROZEN),
    Row("what is approved waits for the window", APPROVE, ("wait", "1.1.0"), "No maintenance", TONIGHT, window=LATER, approval="approved"),
    # --- Attempts
    Row("a failed attempt is repeated later", AUTO, ("wait", "1.1.0"), "tried again", NOW + dt.timedelta(minutes=5), failures=(dt.timedelta(minutes=10),)),
    Row("the wait doubles", AUTO, ("wait", "1.1.0"), "tried again", NOW + dt.timedelta(minutes=20), failures=(HOUR, dt.timedelta(minutes=10))),
    Row("then it is tried again", AUTO, ("deploy", "1.1.0"), "newest", failures=(HOUR,)),
    Row("three times is enough", AUTO, ("none", "1.1.0"), "failed 3 times", failures=(DAY, DAY, DAY)),
    Row("one job at a time", AUTO, ("wait", None), "is under way", has_live_job=True),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _noon_of_monday() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def _arrange(row: Row) -> Service:
    service = factories.ServiceFactory.create(name="payment-service", version=row.current or "")
    factories.PolicyFactory.create(service=service, **row.policy)
    for version, fields in row.releases:
        given = {"published_at": NOW - DAY, **fields}
        factories.ReleaseFactory.create(service=service, version=version, **given)
    for hold in row.covers:
        Hold.objects.create(service=service, **hold)
    if row.window:
        MaintenanceWindow.objects.create(service=service, name="window", **row.window)
    if row.freeze:
        Freeze.objects.create(name="stocktaking", **row.freeze)
    for ago in row.failures:
        factories.HistoryEntryFactory.create(
            service_name=service.name,
            status=HistoryEntry.Status.FAILED,
            old_version="1.0.0",
            new_version="1.1.0",
            running_version=None,
            timestamp=NOW - ago,
        )
    if row.approval:
        release = Release.objects.get(service=service, version="1.1.0")
        Approval.objects.create(
            service=service, release=release, state=row.approval, requested_at=NOW - HOUR
        )
    if row.has_live_job:
        operations.deploy(service, operations.Announcement(version="1.1.0"), by="sam")
    return service


def _traces(service: Service) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the jobs and the approvals that there are."""
    approvals = Approval.objects.filter(service=service).values_list("release__version", "state")
    return set(Job.objects.values_list("version", flat=True)), set(approvals)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_the_plan_says_it_and_the_scheduler_does_it(row: Row, api: APIClient) -> None:
    service = _arrange(row)
    jobs_before, approvals_before = _traces(service)

    plan = api.get("/api/v1/updates/plan", {"service": service.name}).json()
    operations.apply_policies(now=NOW)
    operations.apply_policies(now=NOW)

    assert (plan["action"], plan["version"]) == row.expected
    assert row.reason in plan["reason"]
    next_at = row.next_at and row.next_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert plan["next_at"] == next_at
    jobs, approvals = _traces(service)
    version = str(row.expected[1])
    assert jobs - jobs_before == ({version} if plan["action"] == "deploy" else set())
    asked = {(version, "pending")} if plan["action"] == "approve" else set()
    assert approvals - approvals_before == asked


def test_the_table_has_at_least_forty_rows_and_none_twice() -> None:
    assert len({row.says for row in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize("row", [row for row in ROWS if row.next_at], ids=lambda row: row.says)
def test_what_waits_goes_on_at_the_moment_that_the_plan_names(row: Row, api: APIClient) -> None:
    service = _arrange(row)
    assert row.next_at is not None

    with time_machine.travel(row.next_at - dt.timedelta(seconds=1), tick=False):
        before = api.get("/api/v1/updates/plan", {"service": service.name}).json()
    with time_machine.travel(row.next_at, tick=False):
        after = api.get("/api/v1/updates/plan", {"service": service.name}).json()

    assert before["action"] == "wait"
    assert after["action"] in ("deploy", "approve")


def test_a_service_without_a_policy_is_manual(api: APIClient) -> None:
    service = factories.ServiceFactory.create(version="1.0.0")
    factories.ReleaseFactory.create(service=service, version="1.1.0")

    plan = api.get("/api/v1/updates/plan", {"service": service.name}).json()

    assert plan == {
        "service_name": service.name,
        "policy": "manual",
        "policy_origin": "default",
        "policy_name": None,
        "policy_selector": None,
        "current_version": "1.0.0",
        "latest_version": "1.1.0",
        "action": "none",
        "version": None,
        "reason": "The policy is manual.",
        "verification": plan["verification"],
        "windows": [],
        "freezes": [],
        "next_at": None,
        "releases": [
            {"version": "1.1.0", "is_eligible": True, "reason": None, "eligible_at": None}
        ],
    }


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?service=bad%20name", 400), ("?service=never", 404)]
)
def test_a_plan_needs_a_service(api: APIClient, query: str, status: int) -> None:
    assert api.get(f"/api/v1/updates/plan{query}").status_code == status


@pytest.mark.parametrize("demand", ["checksum", "signature"])
def test_a_release_without_what_the_policy_demands_is_not_eligible(
    api: APIClient, demand: str
) -> None:
    release = factories.ReleaseFactory.create(checksum="", signature="")
    factories.PolicyFactory.create(service=release.service, **{f"requires_{demand}": True})

    plan = api.get("/api/v1/updates/plan", {"service": release.service.name}).json()

    assert plan["releases"][0]["is_eligible"] is False
    assert f"asks for a {demand}" in plan["releases"][0]["reason"]
    assert plan["verification"].startswith(f"The policy demands a {demand}")


def test_a_policy_that_demands_nothing_says_so_in_the_plan(api: APIClient) -> None:
    release = factories.ReleaseFactory.create()

    plan = api.get("/api/v1/updates/plan", {"service": release.service.name}).json()

    assert "neither a checksum nor a signature" in plan["verification"]


def test_a_deployment_without_the_demanded_checksum_is_refused() -> None:
    release = factories.ReleaseFactory.create(checksum="")
    factories.PolicyFactory.create(service=release.service, requires_checksum=True)
    announcement = operations.Announcement(version=release.version)

    with pytest.raises(errors.ChecksumMissing, match="sha256"):
        operations.deploy(release.service, announcement, by="anna")

    Release.objects.update(checksum=f"sha256:{64 * '0'}")
    assert operations.deploy(release.service, announcement, by="anna").status == "queued"
