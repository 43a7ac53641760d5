from __future__ import annotations

import datetime as dt
import json

import pytest
from pytest_httpserver import HTTPServer
from redis import Redis

from registry import operations as registry
from registry.models import Service
from updates.models import Target
from updates.rollouts import gates
from updates.step_context import Inconclusive, Outcome, StepContext, StepFailed

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def context(target: Target, *, version: str = "2.0.0") -> StepContext:
    return StepContext(
        service_name="shop",
        kind="deploy",
        version=version,
        job_id="deploy-shop-2.0.0-1",
        target=target,
        fence=1,
        deadline_seconds=10,
    )


def check(target: Target, *, since: dt.datetime = LONG_AGO, **options: object) -> Outcome:
    return gates.check(context(target, **options), since=since, wait=lambda _seconds: None)  # type: ignore[arg-type]


def answers(httpserver: HTTPServer, statuses: list[int]) -> str:
    for status in statuses:
        httpserver.expect_ordered_request("/health").respond_with_data("", status=status)
    return httpserver.url_for("/health")


@pytest.mark.django_db
def test_health_must_be_good_several_times_in_a_row(httpserver: HTTPServer) -> None:
    url = answers(httpserver, [200, 503, 200, 200])

    outcome = check(Target(health_url=url, health_successes=2, healthy_deadline_seconds=5))

    assert outcome.message == "Healthy 2 times in a row."
    assert len(httpserver.log) == 4


@pytest.mark.django_db
def test_what_stays_unhealthy_fails_with_what_it_said_last(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/health").respond_with_data("", status=500)
    target = Target(health_url=httpserver.url_for("/health"), healthy_deadline_seconds=0)

    with pytest.raises(StepFailed, match="answered 500"):
        check(target)


@pytest.mark.django_db
def test_health_url_without_a_server_fails() -> None:
    with pytest.raises(StepFailed, match="could not be reached"):
        check(Target(health_url="http://127.0.0.1:9/", healthy_deadline_seconds=0))


@pytest.mark.django_db
def test_a_redirect_is_not_health(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/health").respond_with_data("", status=302)
    target = Target(health_url=httpserver.url_for("/health"), healthy_deadline_seconds=0)

    with pytest.raises(StepFailed, match="answered 302"):
        check(target)


# --- The registry ---------------------------------------------------------------------------------


@pytest.fixture
def shop(transactional_db: None, redis: Redis) -> Service:
    register("2.0.0")
    return Service.objects.get(name="shop")


def register(version: str) -> None:
    registration = registry.Registration(
        service_name="shop", url="http://127.0.0.1:9000", instance_id="one", version=version
    )
    registry.register(registration, by=None, now=dt.datetime.now(dt.UTC))


def gated(instance_id: str = "one") -> Target:
    return Target(is_registry_gate=True, instance_id=instance_id, healthy_deadline_seconds=0)


def test_registry_gate_passes_on_a_heartbeat_with_the_new_version(
    shop: Service,
) -> None:
    assert check(gated()).message == "It sends heartbeats, passing, with version 2.0.0."


@pytest.mark.parametrize(
    ("target", "version", "since", "reason"),
    [
        (gated("two"), "2.0.0", LONG_AGO, "two is not registered"),
        (gated(), "3.0.0", LONG_AGO, "reports version 2.0.0"),
        (gated(), "2.0.0", dt.datetime(2100, 1, 1, tzinfo=dt.UTC), "has not beaten since"),
    ],
)
def test_the_registry_does_not_vouch_for_others(
    shop: Service, target: Target, version: str, since: dt.datetime, reason: str
) -> None:
    with pytest.raises(StepFailed, match=reason):
        check(target, version=version, since=since)


# --- Metrics --------------------------------------------------------------------------------------


@pytest.fixture
def metered(httpserver: HTTPServer) -> Target:
    return Target(
        metric_url=httpserver.url_for("/prometheus"),
        metric_query="errors",
        metric_maximum=0.05,
        metric_samples_query="requests",
        metric_min_samples=100,
        healthy_deadline_seconds=0,
    )


def say(httpserver: HTTPServer, query: str, value: str | None) -> None:
    result = [] if value is None else [{"metric": {}, "value": [1_700_000_000, value]}]
    document = {"status": "success", "data": {"resultType": "vector", "result": result}}
    httpserver.expect_request(
        "/prometheus/api/v1/query", query_string={"query": query}
    ).respond_with_data(json.dumps(document), content_type="application/json")


def test_a_metric_within_its_range_passes(httpserver: HTTPServer, metered: Target) -> None:
    say(httpserver, "requests", "250")
    say(httpserver, "errors", "0.01")

    assert gates.measure(metered) == "The metric is 0.01."


def test_a_metric_out_of_its_range_fails(httpserver: HTTPServer, metered: Target) -> None:
    say(httpserver, "requests", "250")
    say(httpserver, "errors", "0.2")

    with pytest.raises(StepFailed, match="more than"):
        gates.measure(metered)


@pytest.mark.parametrize(
    ("samples", "value"),
    [("99", "0.01"), ("250", None), ("250", "NaN"), (None, "0.01"), ("x", "1")],
)
def test_too_few_samples_are_inconclusive(
    httpserver: HTTPServer, metered: Target, samples: str | None, value: str | None
) -> None:
    say(httpserver, "requests", samples)
    say(httpserver, "errors", value)

    with pytest.raises(Inconclusive):
        gates.measure(metered)


def test_a_prometheus_that_answers_rubbish_is_inconclusive(
    httpserver: HTTPServer, metered: Target
) -> None:
    httpserver.expect_request("/prometheus/api/v1/query").respond_with_data("<html>")

    with pytest.raises(Inconclusive):
        gates.measure(metered)


def test_no_gate_is_no_hindrance() -> None:
    assert check(Target()).is_skipped
