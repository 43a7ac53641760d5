"""Checks of sources: what is new is published once, what fails is published once, and one runs at a time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule
from pytest_httpserver import HTTPServer

from registry.models import Event, Service
from tests import factories
from tests.updates.releases.sources import imitations
from updates import operations
from updates.errors import SourceUnavailable
from updates.models import Job, Release, Source
from updates.releases import checks

pytestmark = pytest.mark.django_db


def _source(server: HTTPServer, kind: str = "github", **fields: Any) -> Source:
    locations = {"github": "acme/payment", "pypi": "acme-payment"}
    service = factories.ServiceFactory.create(name="payment-service", version="1.2.3")
    return factories.SourceFactory.create(
        service=service,
        kind=kind,
        location=locations[kind],
        base_url=server.url_for("/"),
        **fields,
    )


def _serve(server: HTTPServer, kind: str, *versions: str) -> None:
    server.clear_all_handlers()
    if kind == "github":
        imitations.serve_github(
            server, [imitations.github_release(f"v{version}") for version in versions]
        )
    else:
        files = [imitations.pypi_file(f"acme_payment-{version}.tar.gz") for version in versions]
        imitations.serve_pypi(server, files)


def _reported() -> list[str]:
    return [event.type for event in Event.objects.order_by("pk")]


@pytest.mark.parametrize("kind", ["github", "pypi"])
def test_a_new_release_appears_and_is_deployed_by_policy(httpserver: HTTPServer, kind: str) -> None:
    service = _source(httpserver, kind).service
    factories.PolicyFactory.create(service=service, kind="auto", version_range=">=1,<2")
    _serve(httpserver, kind, "1.2.3")
    before = operations.check(service)

    _serve(httpserver, kind, "2.0.0", "1.10.0", "1.9.0", "1.2.3")
    after = operations.check(service)
    operations.apply_policies(now=timezone.now())

    assert (before.latest_version, before.is_update_available) == ("1.2.3", False)
    assert (after.current_version, after.latest_version) == ("1.2.3", "1.10.0")
    assert after.is_update_available
    job = Job.objects.get()
    assert (job.version, job.requested_by) == ("1.10.0", "policy auto")
    assert job.checksum == f"sha256:{imitations.SHA256}"
    release = job.release
    assert release is not None
    assert (release.origin, release.published_at) == (
        kind,
        dt.datetime(2026, 2, 1, 10, 0, 0, 123456 if kind == "pypi" else 0, tzinfo=dt.UTC),
    )


def test_what_changed_is_reported_and_what_did_not_is_not(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    _serve(httpserver, "github", "1.3.0", "1.2.3")

    operations.check(service)
    first = _reported()
    operations.check(service)

    assert first == ["release.announced", "update.available"]
    assert _reported() == first
    assert httpserver.log[-1][1].status_code == 304


def test_of_a_long_past_only_the_newest_is_news(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    _serve(httpserver, "github", *[f"1.{minor}.0" for minor in range(40)])

    operations.check(service)

    announced = Event.objects.filter(type="release.announced")
    assert [event.data["version"] for event in announced] == ["1.39.0"]
    assert Release.objects.count() == 40


def test_an_answer_that_is_known_costs_few_queries(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    versions = [f"1.{minor}.0" for minor in range(40)]
    _serve(httpserver, "github", *versions)
    operations.check(service)
    Source.objects.update(validators={})

    with CaptureQueriesContext(connection) as queries:
        operations.check(service)

    assert len(queries) < 25


def test_a_source_that_moved_is_asked_in_full(httpserver: HTTPServer) -> None:
    source = _source(httpserver)
    _serve(httpserver, "github", "1.3.0")
    operations.check(source.service)
    Source.objects.update(options={"tag_prefix": ""})

    operations.check(source.service)

    assert [answer.status_code for _, answer in httpserver.log] == [200, 200]


def test_a_failure_is_reported_once_and_so_is_its_end(httpserver: HTTPServer) -> None:
    source = _source(httpserver)
    for _ in range(2):
        with pytest.raises(SourceUnavailable):
            operations.check(source.service)
    failed = Source.objects.get()
    _serve(httpserver, "github")

    operations.check(source.service)

    assert _reported() == ["update.check_failed", "update.check_recovered"]
    assert (failed.failures, failed.last_error) == (2, "The source answered 500.")
    recovered = Source.objects.get()
    assert (recovered.failures, recovered.last_error, recovered.lease_expires_at) == (0, "", None)


def test_a_failing_source_is_asked_less_and_less(httpserver: HTTPServer) -> None:
    source = _source(httpserver, interval_seconds=600)
    waits = []
    for _ in range(9):
        now = timezone.now()
        checks.check_by_schedule(source.service, now=now)
        source.refresh_from_db()
        assert source.next_check_at is not None
        waits.append((source.next_check_at - now).total_seconds())

    assert waits == sorted(waits)
    assert 600 <= waits[0] <= 660
    assert 24 * 3600 <= waits[-1] <= 24 * 3600 + 60


def test_a_source_that_asks_for_patience_gets_it(httpserver: HTTPServer) -> None:
    source = _source(httpserver, interval_seconds=60)
    httpserver.expect_request("/repos/acme/payment/releases").respond_with_data(
        "", status=429, headers={"Retry-After": "7200"}
    )
    now = timezone.now()

    checks.check_by_schedule(source.service, now=now)

    source.refresh_from_db()
    assert source.next_check_at is not None
    assert source.next_check_at >= now + dt.timedelta(seconds=7200)


def test_a_release_that_changed_under_its_version_is_doubted_and_the_rest_taken(
    httpserver: HTTPServer,
) -> None:
    source = _source(httpserver)
    release = factories.ReleaseFactory.create(
        service=source.service, version="1.3.0", checksum="sha256:" + "e" * 64
    )
    factories.JobFactory.create(service=source.service, release=release, status="succeeded")
    _serve(httpserver, "github", "1.4.0", "1.3.0")

    result = operations.check(source.service)

    source.refresh_from_db()
    assert result.latest_version == "1.4.0"
    assert "1.3.0: Release 1.3.0" in source.last_error
    assert "update.check_failed" in _reported()
    assert Release.objects.get(version="1.3.0").checksum == "sha256:" + "e" * 64


def test_what_its_source_takes_back_is_withdrawn_until_it_comes_again(
    httpserver: HTTPServer,
) -> None:
    service = _source(httpserver, "pypi").service
    _serve(httpserver, "pypi", "1.3.0")
    operations.check(service)

    httpserver.clear_all_handlers()
    imitations.serve_pypi(
        httpserver, [imitations.pypi_file("acme_payment-1.3.0.tar.gz", yanked=True)]
    )
    operations.check(service)
    withdrawn = Release.objects.get().state
    _serve(httpserver, "pypi", "1.3.0")
    operations.check(service)

    assert withdrawn == Release.State.WITHDRAWN
    assert Release.objects.get().state == Release.State.AVAILABLE


def test_one_check_runs_at_a_time(httpserver: HTTPServer) -> None:
    source = _source(httpserver)
    _serve(httpserver, "github", "1.3.0")

    assert checks.claim(source, now=timezone.now())
    result = operations.check(source.service)

    assert not checks.claim(source, now=timezone.now())
    assert result.latest_version is None
    assert not httpserver.log


def test_check_of_a_killed_process_is_taken_over(httpserver: HTTPServer) -> None:
    source = _source(httpserver, lease_expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert checks.claim(source, now=timezone.now())


def test_pre_releases_are_the_latest_only_where_policy_allows_them(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    policy = factories.PolicyFactory.create(service=service)
    _serve(httpserver, "github", "1.4.0-rc.1", "1.3.0")

    strict = operations.check(service)
    policy.allows_prereleases = True
    policy.save()
    eager = operations.check(service)

    assert (strict.latest_version, eager.latest_version) == ("1.3.0", "1.4.0-rc.1")


def test_without_any_version_known_nothing_is_available() -> None:
    service = factories.ServiceFactory.create(version="")

    result = operations.check(service)

    assert (result.current_version, result.latest_version) == (None, None)
    assert not result.is_update_available


def test_what_was_deployed_last_counts_before_what_was_reported() -> None:
    service: Service = factories.ServiceFactory.create(version="1.0.0")
    factories.ReleaseFactory.create(service=service, version="1.10.0")
    factories.HistoryEntryFactory.create(service_name=service.name, new_version="1.9.0")

    result = operations.check(service)

    assert (result.current_version, result.latest_version) == ("1.9.0", "1.10.0")
    assert result.is_update_available


# --- When -----------------------------------------------------------------------------------------


def test_what_is_due_is_asked_for_once(httpserver: HTTPServer) -> None:
    past, future = timezone.now() - dt.timedelta(minutes=1), timezone.now() + dt.timedelta(hours=1)
    _source(httpserver, next_check_at=past)
    for fields in (
        {"next_check_at": None},
        {"next_check_at": future},
        {"next_check_at": past, "is_enabled": False},
        {"next_check_at": past, "kind": "announced"},
        {"next_check_at": past, "lease_expires_at": future},
    ):
        factories.SourceFactory.create(**{"kind": "pypi", **fields})

    assert (checks.enqueue_due(), checks.enqueue_due()) == (2, 0)


def test_no_more_checks_run_at_once_than_allowed() -> None:
    future = timezone.now() + dt.timedelta(hours=1)
    for number in range(12):
        lease = future if number < 5 else None
        factories.SourceFactory.create(kind="pypi", lease_expires_at=lease)

    assert checks.enqueue_due() == checks.MAX_PARALLEL - 5


def test_a_check_that_waited_in_the_queue_runs_only_where_there_is_room(
    httpserver: HTTPServer,
) -> None:
    source = _source(httpserver)
    _serve(httpserver, "github", "1.3.0")
    lease = timezone.now() + dt.timedelta(minutes=1)
    others = factories.SourceFactory.create_batch(checks.MAX_PARALLEL, lease_expires_at=lease)

    checks.check_by_schedule(source.service, now=timezone.now())
    asked_while_full = len(httpserver.log)
    Source.objects.filter(pk=others[0].pk).update(lease_expires_at=None)
    is_due_again = checks.enqueue_due()
    checks.check_by_schedule(source.service, now=timezone.now())

    assert (asked_while_full, is_due_again) == (0, 1)
    assert len(httpserver.log) == 1


def test_regular_checks_are_spread_by_chance() -> None:
    source = factories.SourceFactory.create(kind="pypi", interval_seconds=3600)
    now = timezone.now()

    moments = {checks.next_check(source, now=now) - now for _ in range(20)}

    assert len(moments) > 1
    assert all(dt.timedelta(hours=1) <= wait <= dt.timedelta(minutes=66) for wait in moments)


def test_a_crontab_is_read_on_its_own_clock() -> None:
    nightly = CrontabSchedule.objects.create(minute="30", hour="2", timezone="Asia/Tokyo")
    source = factories.SourceFactory.create(kind="pypi", crontab=nightly)
    now = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)

    found = checks.next_check(source, now=now)

    expected = dt.datetime(2026, 3, 2, 17, 30, tzinfo=dt.UTC)
    assert expected <= found <= expected + dt.timedelta(minutes=1)


# --- Later facts ----------------------------------------------------------------------------------


def test_a_prerelease_that_is_promoted_is_followed_and_back(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    latest = []

    for is_prerelease in (True, False, True):
        httpserver.clear_all_handlers()
        release = imitations.github_release("v2.0.0", prerelease=is_prerelease)
        imitations.serve_github(httpserver, [release])
        latest.append(operations.check(service).latest_version)

    assert latest == [None, "2.0.0", None]


def test_an_asset_that_arrives_later_fills_the_release(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    imitations.serve_github(httpserver, [imitations.github_release("v2.0.0", assets=[])])
    operations.check(service)
    before = Release.objects.get().artifact_url

    httpserver.clear_all_handlers()
    imitations.serve_github(httpserver, [imitations.github_release("v2.0.0")])
    operations.check(service)

    assert before == ""
    assert Release.objects.get().artifact_url.endswith("payment-v2.0.0.tar.gz")


def test_what_vanishes_from_the_list_is_withdrawn_and_may_come_back(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    states = []

    for versions in (("2.0.0", "1.9.0"), ("1.9.0",), ("2.0.0", "1.9.0")):
        _serve(httpserver, "github", *versions)
        operations.check(service)
        states.append(Release.objects.get(version="2.0.0").state)

    assert states == ["available", "withdrawn", "available"]


def test_an_empty_list_is_doubted(httpserver: HTTPServer) -> None:
    service = _source(httpserver).service
    _serve(httpserver, "github", "2.0.0")
    operations.check(service)

    _serve(httpserver, "github")
    result = operations.check(service)

    assert result.warnings == ("The source lists no release any more.",)
    assert Release.objects.get().state == "available"


def test_a_list_that_is_too_long_is_reported_in_the_answer(
    httpserver: HTTPServer, settings: Any
) -> None:
    settings.SAGA_SOURCE_MAX_PAGES = 1
    source = _source(httpserver)
    link = f'<{httpserver.url_for("/repos/acme/payment/releases")}?page=2>; rel="next"'
    httpserver.expect_request("/repos/acme/payment/releases").respond_with_json(
        [imitations.github_release("v2.0.0")], headers={"Link": link}
    )

    result = operations.check(source.service)

    source.refresh_from_db()
    assert "not read to its end" in source.last_error
    assert result.warnings == (source.last_error,)


def test_a_dist_tag_that_moves_is_followed(httpserver: HTTPServer) -> None:
    service = factories.ServiceFactory.create(name="payment-service", version="6.3.2")
    factories.SourceFactory.create(
        service=service, kind="npm", location="@acme/payment", base_url=httpserver.url_for("/")
    )
    versions = [imitations.npm_version("6.3.2"), imitations.npm_version("6.3.6")]
    latest = []

    for tags in ({"latest": "6.3.2", "next": "6.3.6"}, {"latest": "6.3.6"}):
        httpserver.clear_all_handlers()
        imitations.serve_npm(httpserver, versions, tags)
        latest.append(operations.check(service).latest_version)
    factories.PolicyFactory.create(service=service, channel="next")
    httpserver.clear_all_handlers()
    imitations.serve_npm(httpserver, versions, {"latest": "6.3.2", "next": "6.3.6"})
    latest.append(operations.check(service).latest_version)

    assert latest == ["6.3.2", "6.3.6", "6.3.6"]
