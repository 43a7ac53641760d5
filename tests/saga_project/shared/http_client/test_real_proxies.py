"""Outgoing calls through tinyproxy and squid, which put the host of the URL in the place of ``Host``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import werkzeug
from django.conf import settings as configured
from pytest_httpserver import HTTPServer

from saga_project.local.embedded import processes
from saga_project.shared import http_client
from saga_project.shared.http_client import probing, proxies, urls
from tests import real_proxies

NAME = "releases.example"
CONFIGURATIONS = {
    "tinyproxy": """\
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 20
Allow 127.0.0.1
ConnectPort {allowed}
""",
    "squid": """\
http_port 127.0.0.1:{port}
acl tunnels port {allowed}
acl CONNECT method CONNECT
http_access deny CONNECT !tunnels
http_access allow all
cache deny all
access_log none
cache_log {folder}/cache.log
pid_filename none
coredump_dir {folder}
shutdown_lifetime 0 seconds
""",
}


@pytest.fixture(scope="module")
def plain() -> Iterator[HTTPServer]:
    """A server that says under which name it was called."""

    def echo(request: werkzeug.Request) -> werkzeug.Response:
        return werkzeug.Response(request.headers["Host"])

    with HTTPServer() as server:
        server.expect_request("/file").respond_with_handler(echo)
        yield server


@pytest.fixture(params=CONFIGURATIONS)
def proxy(
    request: pytest.FixtureRequest, plain: HTTPServer, tmp_path: Path, settings: Any
) -> Iterator[None]:
    """A proxy that allows tunnels to the server's port only."""
    text = CONFIGURATIONS[request.param]
    with real_proxies.running(request.param, text, tmp_path, allowed=plain.port) as port:
        settings.SAGA_HTTP_PROXY = f"http://127.0.0.1:{port}"
        settings.SAGA_NO_PROXY = []
        settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        yield


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to this machine, and calls to this machine go through the proxy."""
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        return original("127.0.0.1" if host == NAME else host, *args, **kwargs)

    def for_address(_host: str, _address: str) -> proxies.Proxy | None:
        return proxies.read(configured.SAGA_HTTP_PROXY)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(proxies, "for_address", for_address)


def call(url: str) -> bytes:
    return http_client.request("GET", url, purpose="test", timeout_seconds=60).body


def probe(url: str) -> bytes | None:
    parsed = urls.parse(url, field="url")
    answer = probing.fetch(parsed, purpose="test", timeout_seconds=60, wants_body=True)
    return asyncio.run(answer).body


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
def test_server_behind_the_proxy_learns_the_name_that_was_called(
    host: str, plain: HTTPServer
) -> None:
    url, name = f"http://{host}:{plain.port}/file", f"{host}:{plain.port}".encode()

    assert call(url) == name
    assert probe(url) == name


@pytest.mark.usefixtures("proxy")
def test_refused_tunnel_says_what_the_proxy_must_allow() -> None:
    port = processes.any_free_port()

    for ask in (call, probe):
        with pytest.raises(http_client.NoAnswer, match=f"must allow CONNECT to port {port}"):
            ask(f"http://{NAME}:{port}/file")
