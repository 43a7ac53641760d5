"""What GitHub could not deliver is fetched from a local imitation of its API, and acts once."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from saga_project.shared import crypto
from updates.models import Release
from webhooks import errors, inbound
from webhooks.models import GitHubHook, InboundCall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def release(version: str) -> dict[str, Any]:
    asset = {"browser_download_url": f"https://github.com/example/payment/{version}.tar.gz"}
    return {
        "action": "published",
        "repository": {"name": "payment-service", "full_name": "example/payment-service"},
        "release": {"tag_name": f"v{version}", "assets": [asset]},
    }


class GitHub:
    """As much of GitHub's deliveries API as recovery speaks with: lists in pages, then each in full."""

    def __init__(self, server: HTTPServer) -> None:
        self.deliveries: list[dict[str, Any]] = []
        self.page_size = 2
        self.tokens: set[str | None] = set()
        server.expect_request(
            "/repos/example/payment-service/hooks/7/deliveries"
        ).respond_with_handler(self.list)
        self.server = server

    def add(self, guid: str, payload: dict[str, Any], *, hours_ago: float = 1.0) -> None:
        number = len(self.deliveries) + 1
        row = {
            "id": number,
            "guid": guid,
            "event": "release",
            "delivered_at": (timezone.now() - dt.timedelta(hours=hours_ago)).isoformat(),
        }
        self.deliveries.insert(0, row)
        detail = {**row, "request": {"headers": {}, "payload": payload}}
        self.server.expect_request(
            f"/repos/example/payment-service/hooks/7/deliveries/{number}"
        ).respond_with_json(detail)

    def list(self, request: Request) -> Response:
        self.tokens.add(request.headers.get("Authorization"))
        start = int(request.args.get("cursor", 0))
        rows = self.deliveries[start : start + self.page_size]
        following = start + self.page_size
        link = f'<{request.base_url}?per_page=100&cursor={following}>; rel="next"'
        headers = {"Link": link} if following < len(self.deliveries) else {}
        return Response(json.dumps(rows), headers=headers)


@pytest.fixture
def github(httpserver: HTTPServer) -> GitHub:
    return GitHub(httpserver)


@pytest.fixture
def hook(httpserver: HTTPServer) -> GitHubHook:
    return GitHubHook.objects.create(
        repository="example/payment-service",
        hook_id=7,
        api_url=httpserver.url_for("").rstrip("/"),
        sealed_token=crypto.encrypt("t0ken"),
    )


def versions() -> list[str]:
    return sorted(Release.objects.values_list("version", flat=True))


def test_fetches_what_is_missing_over_several_pages(github: GitHub, hook: GitHubHook) -> None:
    for number in range(5):
        github.add(f"guid-{number}", release(f"1.{number}.0"))

    count = inbound.recover_all(now=timezone.now())

    hook.refresh_from_db()
    assert count == 5
    assert versions() == ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"]
    assert (hook.error, github.tokens) == ("", {"Bearer t0ken"})
    assert hook.checked_at is not None


def test_what_arrived_is_not_acted_on_again(
    api: APIClient, github: GitHub, hook: GitHubHook
) -> None:
    github.add("guid-1", release("1.3.0"))
    response = api.post(
        "/api/v1/webhooks/update",
        json.dumps(release("1.3.0")),
        content_type="application/json",
        headers={"X-GitHub-Event": "release", "X-GitHub-Delivery": "guid-1"},
    )

    count = inbound.recover_all(now=timezone.now())

    assert (response.status_code, count) == (202, 0)
    assert versions() == ["1.3.0"]


def test_what_was_recovered_does_nothing_when_github_delivers_it_after_all(
    api: APIClient, github: GitHub, hook: GitHubHook
) -> None:
    github.add("guid-1", release("1.3.0"))
    inbound.recover_all(now=timezone.now())

    response = api.post(
        "/api/v1/webhooks/update",
        json.dumps(release("1.3.0"), indent=1),
        content_type="application/json",
        headers={"X-GitHub-Event": "release", "X-GitHub-Delivery": "guid-1"},
    )

    assert response.status_code == 202
    assert InboundCall.objects.filter(verdict=InboundCall.Verdict.ACCEPTED).count() == 1


def test_a_second_recovery_finds_nothing(github: GitHub, hook: GitHubHook) -> None:
    github.add("guid-1", release("1.3.0"))

    counts = [inbound.recover_all(now=timezone.now()) for _ in range(2)]

    assert counts == [1, 0]


def test_a_message_that_was_redelivered_counts_once(github: GitHub, hook: GitHubHook) -> None:
    github.add("guid-1", release("1.3.0"), hours_ago=2)
    github.add("guid-1", release("1.3.0"), hours_ago=1)

    assert inbound.recover_all(now=timezone.now()) == 1


def test_looks_no_further_back_than_it_must(github: GitHub, hook: GitHubHook) -> None:
    github.add("guid-old", release("1.0.0"), hours_ago=100)
    github.add("guid-new", release("1.1.0"))

    inbound.recover_all(now=timezone.now())

    assert versions() == ["1.1.0"]


def test_one_unusable_message_does_not_hold_up_the_others(github: GitHub, hook: GitHubHook) -> None:
    github.add("guid-1", {"zen": "no repository"})
    github.add("guid-2", {**release("1.3.0"), "repository": {"name": "../.."}})
    github.add("guid-3", {**release("1.3.0"), "release": {"tag_name": "../.."}})
    github.add("guid-4", release("1.4.0"))

    inbound.recover_all(now=timezone.now())

    ignored = InboundCall.objects.filter(answer__status="ignored").values_list(
        "message_id", flat=True
    )
    assert versions() == ["1.4.0"]
    assert set(ignored) == {"github:guid-1", "github:guid-3"}


@pytest.mark.parametrize(
    "answer", [Response(status=404), Response(status=410), Response('{"request": {}}')]
)
def test_a_message_that_github_did_not_keep_does_not_hold_up_the_others(
    github: GitHub, hook: GitHubHook, answer: Response
) -> None:
    github.add("guid-1", release("1.3.0"))
    github.add("guid-2", release("1.4.0"))
    oldest = "/repos/example/payment-service/hooks/7/deliveries/1"
    github.server.expect_oneshot_request(oldest).respond_with_response(answer)

    count = inbound.recover_all(now=timezone.now())

    hook.refresh_from_db()
    assert (count, versions(), hook.error) == (1, ["1.4.0"], "")


def test_an_api_that_fails_for_one_message_is_asked_for_it_again(
    github: GitHub, hook: GitHubHook
) -> None:
    github.add("guid-1", release("1.3.0"))
    oldest = "/repos/example/payment-service/hooks/7/deliveries/1"
    github.server.expect_oneshot_request(oldest).respond_with_data(status=503)

    counts = [inbound.recover_all(now=timezone.now()) for _ in range(2)]

    hook.refresh_from_db()
    assert (counts, versions(), hook.error) == ([0, 1], ["1.3.0"], "")


@pytest.mark.parametrize(
    "answer",
    [
        Response(status=500),
        Response("not json"),
        Response("{}"),
        Response('[{"id": 1, "guid": "a"}]'),
    ],
)
def test_an_api_that_does_not_answer_is_said_and_kept(
    httpserver: HTTPServer, hook: GitHubHook, answer: Response
) -> None:
    httpserver.expect_request(
        "/repos/example/payment-service/hooks/7/deliveries"
    ).respond_with_response(answer)

    inbound.recover_all(now=timezone.now())

    hook.refresh_from_db()
    assert "GitHub" in hook.error
    with pytest.raises(errors.RecoveryFailed):
        inbound.recover(hook, since=timezone.now(), now=timezone.now())


def test_the_command_prints_how_many(
    github: GitHub, hook: GitHubHook, capsys: pytest.CaptureFixture[str]
) -> None:
    github.add("guid-1", release("1.3.0"))

    call_command("recover_github")

    assert capsys.readouterr().out == "example/payment-service #7: 1 recovered\n"


def test_the_command_fails_where_github_does(hook: GitHubHook, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/repos/example/payment-service/hooks/7/deliveries"
    ).respond_with_data(status=401)

    with pytest.raises(CommandError, match="401"):
        call_command("recover_github")
