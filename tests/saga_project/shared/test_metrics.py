"""GET /metrics: of all processes, with few labels, and also while something is gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django import db
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from registry.background import expiry
from saga_project.shared import metrics
from saga_project.web import scrape
from tests import factories
from tests.webserver import WebServer
from updates import operations as updates
from updates.models import Job
from updates.releases import recording

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(api: APIClient) -> dict[Sample, float]:
    response = api.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == metrics.CONTENT_TYPE
    return samples(response.content.decode())


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_and_status(api: APIClient) -> None:
    route = "/api/v1/services/<str:name>"
    before = scraped(api)

    for name in ("a", "b", "c"):
        api.get(f"/api/v1/services/{name}")
    api.get("/nowhere/at/all")
    after = scraped(api)

    counted = {"method": "GET", "route": route, "status": "404"}
    name = "saga_http_requests_total"
    assert value(after, name, **counted) - value(before, name, **counted) == 3
    unknown = {"method": "GET", "route": "unknown", "status": "404"}
    assert value(after, name, **unknown) - value(before, name, **unknown) == 1


def test_a_process_that_was_killed_while_it_began_spoils_nothing(api: APIClient) -> None:
    left_empty = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / "counter_0.db"
    left_empty.touch()
    try:
        assert value(scraped(api), "saga_web_processes") >= 1
    finally:
        left_empty.unlink()


def test_what_callers_make_up_is_no_label(api: APIClient) -> None:
    def call(numbers: range) -> set[Sample]:
        for number in numbers:
            api.generic(f"VERB{number}", f"/api/v1/services/made-up-{number}")
        return set(scraped(api))

    def of_requests(found: set[Sample]) -> set[Sample]:
        """Series that requests make: others come and go with what else the process does meanwhile."""
        return {sample for sample in found if sample[0].startswith("saga_http_")}

    call(range(1))
    before = call(range(1, 2))
    after = call(range(2, 50))

    assert of_requests(before)
    assert of_requests(after) == of_requests(before)
    assert not any("made-up" in str(sample) or "VERB" in str(sample) for sample in after)


def test_it_shows_the_registry(api: APIClient) -> None:
    for number in range(3):
        api.post(
            "/api/v1/services/register",
            {"service_name": "pay", "instance_id": f"i{number}", "service_url": "http://localhost"},
            format="json",
        )
    expiry.sweep()

    found = scraped(api)

    assert value(found, "saga_live_services") == 1
    assert value(found, "saga_live_instances") == 3
    assert value(found, "saga_protection_active") == 0
    assert value(found, "saga_queue_depth", queue="webhooks") == 0


def test_it_shows_jobs_and_deliveries_by_status(api: APIClient) -> None:
    deployed = factories.ServiceFactory.create()
    announcement = recording.Announcement(version="1.3.0", artifact_url="http://localhost:1/a")
    updates.deploy(deployed, announcement, by="ci")
    for status in ("pending", "dead", "dead", "delivered"):
        factories.DeliveryFactory.create(status=status)
    before = scraped(api)

    [job] = Job.objects.all()
    updates.abort(job.job_id, by="anna")
    after = scraped(api)

    assert [value(found, "saga_jobs", status="queued") for found in (before, after)] == [1, 0]
    ended = {"kind": "deploy", "status": "cancelled"}
    name = "saga_jobs_ended_total"
    assert value(after, name, **ended) - value(before, name, **ended) == 1
    assert value(after, "saga_jobs_needing_attention") == 0
    assert {
        status: value(after, "saga_deliveries", status=status)
        for status in ("pending", "sending", "dead", "delivered")
    } == {"pending": 1, "sending": 0, "dead": 2, "delivered": 0}


def test_a_figure_that_cannot_be_read_leaves_the_others(api: APIClient, broken_reader: str) -> None:
    found = scraped(api)

    assert value(found, "saga_scrape_failed", reader=broken_reader) == 1
    assert value(found, "saga_scrape_failed", reader="saga_project.web.scrape.read_queues") == 0
    assert ("saga_live_services", frozenset[tuple[str, str]]()) in found


@pytest.fixture
def broken_reader() -> Iterator[str]:
    def read() -> Iterable[Metric]:
        raise db.OperationalError("gone")

    metrics.at_scrape(read)
    yield f"{read.__module__}.{read.__qualname__}"
    metrics._readers.remove(read)


def test_any_web_process_answers_for_all(server: WebServer) -> None:
    def answered() -> float:
        counted = {"method": "GET", "route": "/api/v1/events", "status": "200"}
        found = samples(server.get("/metrics/").text)
        assert value(found, "saga_web_processes") >= 2
        return value(found, "saga_http_requests_total", **counted)

    before = answered()
    for _ in range(20):  # a connection each, to any of the processes
        server.get("/api/v1/events")

    assert answered() - before == 20


def test_it_is_read_once_by_each_scrape() -> None:
    metrics.at_scrape(scrape.read_cache)

    assert metrics._readers.count(scrape.read_cache) == 1
