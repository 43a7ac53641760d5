"""What is kept of an answer."""

from __future__ import annotations

import re

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.webhooks.operations.test_approval_links import asked, channel, person
from webhooks.models import ApprovalLink, Attempt
from webhooks.outbound import approval_links, worker


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("limit", [None, -20])
def test_answer_that_repeats_the_message_is_kept_without_its_links(
    httpserver: HTTPServer, settings: Settings, limit: int | None
) -> None:
    settings.SAGA_PUBLIC_URL = "https://saga.example"
    bodies: list[bytes] = []

    def repeat(request: Request) -> Response:
        bodies.append(request.data)
        ends = [found.end() for found in re.finditer(rb"[0-9a-f]{32}\.[0-9a-f]{64}", request.data)]
        return Response(request.data[: ends[-1] + limit] if limit else request.data, 200)

    httpserver.expect_request("/hook").respond_with_handler(repeat)
    person()
    channel(url=httpserver.url_for("/hook"), format="discord")
    asked()

    worker.run()

    proofs = [approval_links.token_of(link.pk).split(".")[1] for link in ApprovalLink.objects.all()]
    kept = Attempt.objects.get().answer
    assert all(proof.encode() in bodies[0] for proof in proofs)
    assert approval_links.WITHHELD in kept
    assert not any(proof[:8] in kept for proof in proofs)
