"""Metrics of a policy: several, from three sources, sampled while a job runs."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient

from registry import operations as registry
from registry.models import Service
from tests.updates.rollouts import scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job, Measurement, Policy
from updates.rollouts import measuring
from updates.rollouts.measuring import definitions, sources
from updates.step_context import Inconclusive

PAUSED = {"steps": [{"weight": 50, "pause_seconds": None}]}


def metric(server: HTTPServer, name: str, values: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a metric whose number stands in a JSON document."""
    server.expect_request(f"/{name}").respond_with_json(values)
    url = server.url_for(f"/{name}")
    return {
        "name": name,
        "source": "http",
        "url": url,
        "pointer": "/rate",
        "maximum": 0.1,
        **fields,
    }


def canary(scene: scenes.Scene, shop: Service, *metrics: dict[str, Any]) -> Job:
    """Deploy 2.0.0 as a canary that waits, with these metrics in the policy."""
    Policy.objects.create(service=shop, metrics=list(metrics))
    announcement = scene.announce("2.0.0")
    job = run(operations.deploy(shop, announcement, by="ci", strategy="canary", options=PAUSED))
    assert job.status == "paused", job.error
    return job


def sample(job: Job, *, times: int = 1) -> None:
    for _ in range(times):
        Measurement.objects.update(checked_at=None)
        measuring.make_round(job.pk)
    job.refresh_from_db()


def test_a_metric_that_is_bad_several_times_rolls_back_in_the_middle_of_a_pause(
    httpserver: HTTPServer, scene: scenes.Scene, shop: Service
) -> None:
    good = metric(httpserver, "latency", {"rate": 0})
    bad = metric(httpserver, "errors", {"rate": 0.5})
    job = canary(scene, shop, good, bad)
    sample(job, times=2)
    after_two = job.status

    sample(job)

    assert (after_two, job.status) == ("paused", "rolling_back")
    assert "The metric errors was bad 3 times in a row: 0.5 is more than 0.1" in job.error


def test_a_dry_run_is_shown_and_decides_nothing(
    api: APIClient, httpserver: HTTPServer, scene: scenes.Scene, shop: Service
) -> None:
    job = canary(scene, shop, metric(httpserver, "errors", {"rate": 0.5}, dry_run=True))
    sample(job, times=5)

    operations.promote(job.job_id, by="anna")

    assert run(job).status == "succeeded", job.error
    shown = api.get(f"/api/v1/updates/jobs/{job.job_id}").json()["metrics"]
    assert [(row["name"], row["is_good"], row["is_dry_run"]) for row in shown] == [
        ("errors", False, True)
    ]


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"rate": 0, "calls": 3}, {"samples": "/calls", "min_samples": 100}),
        ({"other": 0}, {}),
        ({"rate": True}, {}),
        ({"rate": "NaN"}, {}),
    ],
)
def test_an_inconclusive_metric_pauses_and_never_fails(
    monkeypatch: pytest.MonkeyPatch,
    httpserver: HTTPServer,
    scene: scenes.Scene,
    shop: Service,
    values: dict[str, Any],
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(measuring, "PATIENCE_SECONDS", -10.0)
    job = canary(scene, shop, metric(httpserver, "errors", values, **fields))
    sample(job, times=5)
    in_pause = job.status

    operations.promote(job.job_id, by="anna")
    run(job)

    assert (in_pause, job.status) == ("paused", "paused")
    assert "The metric errors is inconclusive" in job.pause_reason
    operations.promote(job.job_id, by="anna", is_fully=True)
    assert run(job).status == "succeeded"


def test_a_metric_needs_consecutive_good_samples_before_the_job_goes_on(
    httpserver: HTTPServer, scene: scenes.Scene, shop: Service
) -> None:
    once_more = metric(httpserver, "errors", {"rate": 0}, consecutive=3, interval=1)
    job = canary(scene, shop, once_more)

    operations.promote(job.job_id, by="anna")

    assert run(job).status == "succeeded", job.error
    assert Measurement.objects.get().good_in_a_row >= 3


def test_a_metric_is_not_sampled_before_its_initial_delay(
    httpserver: HTTPServer, scene: scenes.Scene, shop: Service
) -> None:
    job = canary(scene, shop, metric(httpserver, "errors", {"rate": 9}, initial_delay=3600))

    sample(job, times=5)

    assert (job.status, httpserver.log) == ("paused", [])


def test_a_rollback_is_not_held_up_by_what_the_bad_release_did(
    httpserver: HTTPServer, scene: scenes.Scene, shop: Service
) -> None:
    run(scene.deploy(shop, "2.0.0"))
    Policy.objects.create(service=shop, metrics=[metric(httpserver, "errors", {"rate": 9})])

    job = run(operations.roll_back(shop, by="anna"))

    assert (job.status, httpserver.log) == ("succeeded", [])


# --- Sources ----------------------------------------------------------------------------------------


def read(**fields: Any) -> definitions.Metric:
    return definitions.read([{"name": "errors", "maximum": 1, **fields}])[0]


def test_prometheus_is_asked_with_service_and_version(httpserver: HTTPServer) -> None:
    answer = {"data": {"resultType": "vector", "result": [{"value": [1, "0.25"]}]}}
    query = {"query": 'errors{app="shop",v="2.0.0"}'}
    httpserver.expect_request("/api/v1/query", query_string=query).respond_with_json(answer)
    metric = read(url=httpserver.url_for("/"), query='errors{app="{service}",v="{version}"}')

    assert sources.sample(metric, service_name="shop", version="2.0.0") == 0.25


@pytest.mark.parametrize(
    ("document", "pointer", "value"),
    [
        ({"a": {"b": [1, 2]}}, "/a/b/1", 2),
        ({"a/b": {"~": 7}}, "/a~1b/~0", 7),
        ({"": 5}, "/", 5),
    ],
)
def test_a_json_pointer_is_followed(document: Any, pointer: str, value: float) -> None:
    assert sources.resolve(document, pointer) == value


@pytest.mark.usefixtures("redis", "transactional_db")
def test_saga_knows_how_many_instances_of_the_new_version_pass() -> None:
    now = timezone.now()
    for instance_id, version, health in (
        ("a", "2.0.0", "passing"),
        ("b", "2.0.0", "critical"),
        ("c", "1.0.0", "critical"),
    ):
        registry.register(
            registry.Registration(
                service_name="shop",
                url=f"http://127.0.0.1/{instance_id}",
                instance_id=instance_id,
                version=version,
            ),
            by=None,
            now=now,
        )
        beat = registry.Heartbeat(service_name="shop", instance_id=instance_id, health=health)
        registry.renew(beat, by=None, now=now)

    share = read(source="saga", figure="passing_percent", minimum=90, maximum=100)

    assert sources.sample(share, service_name="shop", version="2.0.0") == 50
    with pytest.raises(Inconclusive, match=r"Too few instances of 3\.0\.0"):
        sources.sample(share, service_name="shop", version="3.0.0")


URL = "http://127.0.0.1:9090"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "ftp://x", "query": "up"},
        {"url": URL},
        {"url": URL, "query": "up", "maximum": None},
        {"url": URL, "query": "up", "minimum": 2},
        {"url": URL, "query": "up", "min_samples": 5},
        {"url": URL, "query": "up", "consecutive": 0},
        {"url": URL, "query": "up", "dry_run": "yes"},
        {"url": URL, "query": "up", "speed": 1},
        {"url": URL, "source": "http", "pointer": "rate"},
        {"source": "saga", "figure": "mood"},
        {"source": "tea leaves"},
    ],
)
def test_refuses_metrics_that_make_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(definitions.InvalidMetrics):
        read(**fields)
