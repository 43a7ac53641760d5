"""Steps that fail by something transient are repeated a bounded number of times."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from registry.models import Service
from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job
from updates.releases import recording


def deploy(server: HTTPServer, service: Service, statuses: list[int], **options: object) -> Job:
    """Deploy an artifact whose server answers with these statuses, one after the other."""
    data = hostile.good_tar_gz({"VERSION": b"1.0.0"})
    left = list(statuses)

    def answer(_request: Request) -> Response:
        status = left.pop(0)
        return Response(data if status == 200 else b"", status=status)

    server.expect_request("/shop.tar.gz").respond_with_handler(answer)
    announcement = recording.Announcement(
        version="1.0.0", artifact_url=server.url_for("/shop.tar.gz")
    )
    return run(operations.deploy(service, announcement, by="ci", options=options))


def test_a_download_that_fails_twice_succeeds_with_its_attempts_in_the_journal(
    httpserver: HTTPServer, service: Service
) -> None:
    job = deploy(httpserver, service, [503, 429, 200])

    assert job.status == "succeeded", job.error
    fetch = job.steps.get(name="fetch")
    assert "Attempt 1 failed: The artifact could not be fetched" in fetch.message
    assert "answered 503" in fetch.message
    assert "answered 429" in fetch.message
    assert [attempt["reason"][-4:] for attempt in fetch.result["attempts"]] == ["503.", "429."]


@pytest.mark.parametrize(
    ("statuses", "options", "calls"),
    [
        ([503, 503, 503], {}, 3),
        ([503, 503], {"retries": 1}, 2),
        ([503], {"retries": 0}, 1),
        ([404], {}, 1),  # not transient
    ],
)
def test_attempts_are_bounded(
    httpserver: HTTPServer,
    service: Service,
    statuses: list[int],
    options: dict[str, object],
    calls: int,
) -> None:
    job = deploy(httpserver, service, statuses, **options)

    assert job.status == "failed"
    assert len(httpserver.log) == calls
    assert (f"It was tried {calls} times." in job.error) == (calls > 1)
