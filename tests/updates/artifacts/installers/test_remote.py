"""The service's own deployer: one signed call, then its answer is polled."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook
from werkzeug import Request, Response

from saga_project.shared import crypto
from tests import factories
from updates.artifacts.installers import remote
from updates.models import Target
from updates.step_context import StepContext, StepFailed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def context(httpserver: HTTPServer, **fields: object) -> StepContext:
    target = Target(
        name="one",
        installer=Target.Installer.HTTP,
        deployer_url=httpserver.url_for("/deploy"),
        sealed_deployer_secret=crypto.encrypt(SECRET),
        current_version="1.0.0",
    )
    values: dict[str, object] = {
        "service_name": "shop",
        "kind": "deploy",
        "version": "2.0.0",
        "job_id": "deploy-shop-2.0.0-1",
        "target": target,
        "fence": 7,
        "deadline_seconds": 5,
        "artifact_url": "https://ci.example/shop.tar.gz",
    }
    return StepContext(**{**values, **fields})  # type: ignore[arg-type]


def answer(httpserver: HTTPServer, method: str, document: object, status: int = 200) -> None:
    httpserver.expect_ordered_request("/deploy", method=method).respond_with_data(
        json.dumps(document), status=status, content_type="application/json"
    )


def test_the_call_is_signed_and_says_what_to_install(httpserver: HTTPServer) -> None:
    seen: list[dict[str, object]] = []

    def deploy(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append(Webhook(SECRET).verify(request.get_data(), headers))
        return Response("{}")

    httpserver.expect_request("/deploy", method="POST").respond_with_handler(deploy)

    remote.switch(context(httpserver))

    assert seen[0]["version"] == "2.0.0"
    assert seen[0]["fence"] == 7
    assert seen[0]["artifact_url"] == "https://ci.example/shop.tar.gz"


def test_waits_until_the_deployer_is_done(httpserver: HTTPServer) -> None:
    answer(httpserver, "POST", {}, status=202)
    answer(httpserver, "GET", {"status": "running", "progress": 40})
    answer(httpserver, "GET", {"status": "succeeded", "message": "Up."})

    assert remote.switch(context(httpserver)).message == "Up."


def test_a_deployer_that_failed_fails_the_step_in_its_words(httpserver: HTTPServer) -> None:
    answer(httpserver, "POST", {}, status=202)
    answer(httpserver, "GET", {"status": "failed", "message": "no such image"})

    with pytest.raises(StepFailed, match="no such image"):
        remote.switch(context(httpserver))


@pytest.mark.parametrize("status", [400, 403, 409, 500])
def test_a_deployer_that_refuses_fails_the_step(httpserver: HTTPServer, status: int) -> None:
    answer(httpserver, "POST", {}, status=status)

    with pytest.raises(StepFailed, match=f"answered {status}"):
        remote.switch(context(httpserver))


def test_a_deployer_that_is_never_done_is_given_up(httpserver: HTTPServer) -> None:
    answer(httpserver, "POST", {}, status=202)
    httpserver.expect_request("/deploy", method="GET").respond_with_data('{"status": "running"}')

    with pytest.raises(StepFailed, match="not done within"):
        remote.switch(context(httpserver, deadline_seconds=0.5))


def test_records_what_the_deployer_runs_before_it_is_replaced(httpserver: HTTPServer) -> None:
    assert remote.back_up(context(httpserver)).result == {"previous": "1.0.0"}


def test_an_image_target_takes_images_only(httpserver: HTTPServer) -> None:
    given = context(httpserver)
    given.target.installer = Target.Installer.IMAGE

    with pytest.raises(StepFailed, match="installs images"):
        remote.back_up(given)


def test_signs_with_the_time_of_the_call(httpserver: HTTPServer) -> None:
    answer(httpserver, "POST", {})

    remote.switch(context(httpserver))

    request, _ = httpserver.log[0]
    sent_at = dt.datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), dt.UTC)
    assert abs(dt.datetime.now(dt.UTC) - sent_at) < dt.timedelta(minutes=1)


def test_the_deployer_learns_which_artifact_was_verified(httpserver: HTTPServer) -> None:
    answer(httpserver, "POST", {})

    remote.switch(context(httpserver, is_signature_required=True, artifact_sha256="a" * 64))

    request, _ = httpserver.log[0]
    assert request.get_json()["checksum"] == "sha256:" + "a" * 64


def test_artifact_without_a_verified_signature_is_not_installed(httpserver: HTTPServer) -> None:
    with pytest.raises(StepFailed, match="none was verified"):
        remote.switch(context(httpserver, is_signature_required=True))

    assert httpserver.log == []


def test_there_are_no_signatures_for_images(httpserver: HTTPServer) -> None:
    given = context(httpserver, is_signature_required=True, artifact_type="image")
    given.target.installer = Target.Installer.IMAGE

    with pytest.raises(StepFailed, match="there is none for images"):
        remote.fetch_signed(given)


def test_retried_rollback_calls_the_hook_again(httpserver: HTTPServer) -> None:
    """A deployer that answers the same id with what it answered before would never try again."""
    answer(httpserver, "POST", {})
    answer(httpserver, "POST", {})

    remote.switch(context(httpserver, step=4))
    remote.switch(context(httpserver, step=9))

    ids = [request.headers["webhook-id"] for request, _ in httpserver.log]
    assert len(set(ids)) == 2


def test_nul_in_what_the_deployer_says_is_replaced(httpserver: HTTPServer) -> None:
    reported: list[str] = []
    answer(httpserver, "POST", {}, status=202)
    answer(httpserver, "GET", {"status": "running", "message": "at\0it"})
    answer(httpserver, "GET", {"status": "succeeded", "message": "u\0p"})

    outcome = remote.switch(context(httpserver, report=lambda _, message: reported.append(message)))

    assert (reported, outcome.message) == (["at\ufffdit"], "u\ufffdp")


@pytest.mark.django_db
def test_a_release_is_restored_as_what_it_is(httpserver: HTTPServer) -> None:
    service = factories.ServiceFactory.create(name="shop")
    factories.ReleaseFactory.create(service=service, version="1.0.0", artifact_type="archive")
    given = context(httpserver, previous="1.0.0", is_rollback=True)
    given.target.service = service
    answer(httpserver, "POST", {})

    remote.restore(given)

    request, _ = httpserver.log[0]
    assert (request.get_json()["version"], request.get_json()["artifact_type"]) == (
        "1.0.0",
        "archive",
    )
