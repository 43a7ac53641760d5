"""Services of an agent's host: registered with their own tokens, and reported as their checks find them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from saga_client import running, transport
from werkzeug import Request, Response

from saga_project.agent import configuration, services
from tests import waiting


class Host:
    """Saga's part and the service's, on one server: what was called, and how the service is."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.calls: list[tuple[str, str, Any]] = []
        self.health = 503
        self.watchers: list[running.Watcher] = []
        server.expect_request("/health").respond_with_handler(
            lambda _request: Response(status=self.health)
        )
        for place in ("services", "agent/services"):
            for path in ("register", "shop/heartbeat", "shop"):
                route = server.expect_request(f"/api/v1/{place}/{path}")
                route.respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        body = request.get_json(silent=True)
        token = request.headers.get("Authorization", "")
        self.calls.append((f"{request.method} {request.path}", token, body))
        return Response(
            json.dumps({"ttl": (body or {}).get("ttl", 60)}), content_type="application/json"
        )

    def called(self, name: str) -> list[Any]:
        return [body for each, _, body in self.calls if each == name]

    def keep(self, allowed: configuration.Allowed) -> transport.Transport:
        """Keep the services registered; return the calls with the node's token."""
        calls = transport.Transport(self.url, token="saga_of_node", prefix=services.PREFIX)
        self.watchers = services.keep(
            allowed.services,
            node="web1",
            calls=calls,
            own_calls=lambda token: transport.Transport(self.url, token=token),
        )
        return calls

    def end(self) -> None:
        for watcher in self.watchers:
            watcher.stop()


@pytest.fixture
def host(httpserver: HTTPServer) -> Iterator[Host]:
    found = Host(httpserver)
    yield found
    found.end()


def described(folder: Path, url: str, *further: str) -> configuration.Allowed:
    (folder / "shop.token").write_text("saga_of_shop\n")
    lines = [
        "[[services]]",
        'name = "shop"',
        f'url = "{url}"',
        f'check = "{url}/health"',
        f'token_file = "{folder / "shop.token"}"',
        *further,
    ]
    (folder / "agent.toml").write_text("\n".join(lines))
    return configuration.read(folder)


def test_service_is_registered_once_it_is_well_and_critical_once_it_is_not(
    tmp_path: Path, host: Host
) -> None:
    host.keep(described(tmp_path, host.url))

    assert not host.called("POST /api/v1/services/register")

    host.health = 204
    waiting.until(lambda: bool(host.called("POST /api/v1/services/register")))
    host.health = 500
    waiting.until(lambda: bool(host.called("POST /api/v1/services/shop/heartbeat")))

    assert host.called("POST /api/v1/services/register")[0]["service_url"] == host.url
    assert host.called("POST /api/v1/services/shop/heartbeat")[-1]["status"] == "critical"
    assert {token for _, token, _ in host.calls} == {"Bearer saga_of_shop"}


def test_service_without_a_token_of_its_own_is_registered_by_the_nodes(
    tmp_path: Path, host: Host
) -> None:
    host.health = 204
    text = f'[[services]]\nname = "shop"\nurl = "{host.url}"\nttl = 5'
    (tmp_path / "agent.toml").write_text(text)
    calls = host.keep(configuration.read(tmp_path))
    waiting.until(lambda: bool(host.called("POST /api/v1/agent/services/register")))

    calls.use_token("saga_rotated")
    waiting.until(lambda: host.calls[-1][1] == "Bearer saga_rotated")

    registered = host.called("POST /api/v1/agent/services/register")[0]
    port = host.url.rpartition(":")[2]
    assert (registered["instance_id"], registered["ttl"]) == (f"web1:{port}", 5)
    assert {token for _, token, _ in host.calls} == {"Bearer saga_of_node", "Bearer saga_rotated"}
    assert not host.called("POST /api/v1/services/register")


@pytest.mark.parametrize(
    ("further", "fault"),
    [
        ("command = 'rm -rf /'", "a service has no key 'command'"),
        ("ttl = '60'", "ttl of a service is a number of seconds"),
        ("ttl = true", "ttl of a service is a number of seconds"),
        ("[[services]]\nname = 'b'", "a service lacks 'url'"),
        (
            "[[services]]\nname = 'b'\nurl = 'http://b'\ntoken_file = '/nowhere/token'",
            "/nowhere/token cannot be read",
        ),
    ],
)
def test_file_with_a_wrong_service_is_refused_with_the_reason(
    tmp_path: Path, further: str, fault: str
) -> None:
    with pytest.raises(configuration.ConfigurationInvalid, match=fault):
        described(tmp_path, "http://127.0.0.1:1", *further.split("\n"))


def test_empty_token_does_not_fall_back_to_another_one(tmp_path: Path) -> None:
    described(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "shop.token").write_text("\n")

    with pytest.raises(configuration.ConfigurationInvalid, match="holds no token"):
        configuration.read(tmp_path)
