"""Outgoing calls through a proxy: still checked, and by address."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from saga_project.local.embedded import processes
from saga_project.shared import http_client
from saga_project.shared.http_client import exchanges, probing, proxies, sockets, urls
from tests import certificates, proxy_servers

#: Two addresses of the Internet, behind which the proxies of these tests find a server of this machine.
PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"
LOGIN = "saga:s3cret"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses of names, which a test may change while it runs."""
    original = socket.getaddrinfo
    known = {"releases.example": [PUBLIC], "inside.example": ["10.1.2.3"]}

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        found = known.get(str(host), [host])
        return [original(address, port, *args, **kwargs)[0] for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture(scope="module")
def plain() -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        server.expect_request("/file").respond_with_data("content")
        server.expect_request("/away").respond_with_data(
            "", status=302, headers={"Location": "http://inside.example/"}
        )
        yield server


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTTPServer, Path]]:
    expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = certificates.write(folder, expires_at, name="releases.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(ssl_context=context) as server:
        server.expect_request("/file").respond_with_data("secret content")
        yield server, certificate


@pytest.fixture
def proxy(
    plain: HTTPServer, encrypted: tuple[HTTPServer, Path], names: object, settings: Any
) -> Iterator[proxy_servers.Proxy]:
    routes = {f"{PUBLIC}:80": plain.port, f"{PUBLIC}:443": encrypted[0].port}
    with proxy_servers.running(routes, login=LOGIN) as running:
        settings.SAGA_HTTP_PROXY = f"http://{LOGIN}@127.0.0.1:{running.port}"
        settings.SAGA_NO_PROXY = []
        settings.SAGA_ALLOWED_NETWORKS = []
        yield running


@pytest.fixture
def trusted(encrypted: tuple[HTTPServer, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=str(encrypted[1]))
    context.sslsocket_class = sockets._BoundedTLSSocket
    monkeypatch.setattr(sockets, "tls", lambda: context)


def get(url: str, **options: Any) -> http_client.Response:
    return http_client.request("GET", url, purpose="test", timeout_seconds=20, **options)


def probe(url: str) -> probing.ProbeAnswer:
    parsed = urls.parse(url, field="url")
    return asyncio.run(probing.fetch(parsed, purpose="test", timeout_seconds=20, wants_body=True))


@pytest.mark.usefixtures("trusted")
def test_https_call_is_a_tunnel_to_the_checked_address_with_the_certificate_of_the_name(
    proxy: proxy_servers.Proxy,
) -> None:
    answer = get("https://releases.example/file")

    assert answer.body == b"secret content"
    asked = proxy.next_request()
    assert asked.startswith(f"CONNECT {PUBLIC}:443 HTTP/1.1\r\nHost: {PUBLIC}:443\r\n")
    assert "releases.example" not in asked


@pytest.mark.usefixtures("trusted")
def test_certificate_of_another_name_is_refused_behind_the_proxy(
    proxy: proxy_servers.Proxy, names: dict[str, list[str]]
) -> None:
    names["other.example"] = [PUBLIC]

    with pytest.raises(http_client.NoAnswer, match="certificate"):
        get("https://other.example/file")
    with pytest.raises(http_client.NoAnswer, match="certificate"):
        probe("https://other.example/file")


def test_plain_call_to_a_name_is_a_tunnel_to_that_name(
    proxy: proxy_servers.Proxy, plain: HTTPServer
) -> None:
    answer = get("http://releases.example/file", headers={"X-Mine": "1"})

    assert answer.body == b"content"
    asked = proxy.next_request()
    assert asked.startswith(f"CONNECT {PUBLIC}:80 HTTP/1.1\r\n")
    assert "releases.example" not in asked
    received = plain.log[-1][0].headers
    assert (received["Host"], received["X-Mine"]) == ("releases.example", "1")
    assert "Proxy-Authorization" not in received


def test_plain_call_to_an_address_is_a_request_with_the_whole_url(
    proxy: proxy_servers.Proxy,
) -> None:
    bodies = [get(f"http://{PUBLIC}/file").body, probe(f"http://{PUBLIC}/file").body]

    assert bodies == [b"content", b"content"]
    for _ in bodies:
        asked = proxy.next_request()
        assert asked.startswith(f"GET http://{PUBLIC}:80/file HTTP/1.1\r\n")
        assert f"\r\nHost: {PUBLIC}\r\n" in asked


def test_download_comes_through_the_proxy(proxy: proxy_servers.Proxy) -> None:
    with http_client.download(
        "http://releases.example/file", purpose="artifact", max_bytes=100
    ) as answer:
        assert b"".join(answer.chunks) == b"content"

    assert proxy.next_request().startswith(f"CONNECT {PUBLIC}:80 ")


@pytest.mark.usefixtures("trusted")
def test_health_checks_go_through_the_proxy(proxy: proxy_servers.Proxy) -> None:
    over_tls = probe("https://releases.example/file")
    plain = probe("http://releases.example/file")
    asyncio.run(probing.connect("releases.example", 443, purpose="test", timeout_seconds=20))

    assert (over_tls.body, plain.body) == (b"secret content", b"content")
    assert over_tls.certificate_expires_at is not None
    first_words = [proxy.next_request().split(" HTTP/")[0] for _ in range(3)]
    assert first_words == [
        f"CONNECT {PUBLIC}:443",
        f"CONNECT {PUBLIC}:80",
        f"CONNECT {PUBLIC}:443",
    ]


@pytest.mark.usefixtures("trusted")
def test_kept_connection_is_one_tunnel_for_several_calls(
    encrypted: tuple[HTTPServer, Path], names: dict[str, list[str]], settings: Any
) -> None:
    settings.SAGA_NO_PROXY = settings.SAGA_ALLOWED_NETWORKS = []
    options: dict[str, Any] = {"purpose": "test", "timeout_seconds": 20, "wants_body": True}
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head.decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async def fetch(path: str, kept: exchanges.KeptConnections) -> bytes | None:
        url = urls.parse(f"{path}releases.example/file", field="url")
        return (await probing.fetch(url, kept=kept, **options)).body

    async def play() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=encrypted[0].ssl_context)
        kept = exchanges.KeptConnections(asyncio.get_running_loop(), limit=5)
        port = server.sockets[0].getsockname()[1]
        with proxy_servers.running({f"{PUBLIC}:443": port}, login=LOGIN) as running:
            settings.SAGA_HTTP_PROXY = f"http://{LOGIN}@127.0.0.1:{running.port}"
            assert [await fetch("https://", kept) for _ in range(3)] == [b"ok"] * 3
            names["releases.example"] = ["10.1.2.3"]  # looked up for each new connection
            with pytest.raises(http_client.AddressRefused):
                await fetch("http://", kept)
            assert running.next_request().startswith(f"CONNECT {PUBLIC}:443 ")
            kept.close()
            server.close()
            names["releases.example"] = [PUBLIC]
            with pytest.raises(http_client.NoAnswer):
                await fetch("https://", exchanges.KeptConnections(kept._loop, limit=5))
            assert running.next_request().startswith(f"CONNECT {PUBLIC}:443 ")

    asyncio.run(play())
    assert len(heads) == 3
    assert not any("Proxy-Authorization" in head for head in heads)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused_addresses_are_refused_before_the_proxy_is_asked(
    scheme: str, proxy: proxy_servers.Proxy, names: dict[str, list[str]]
) -> None:
    names["metadata.example"] = [PUBLIC, "169.254.169.254"]

    for host in ("inside.example", "metadata.example", "127.0.0.1"):
        with pytest.raises(http_client.AddressRefused):
            get(f"{scheme}://{host}/")
        with pytest.raises(http_client.AddressRefused):
            probe(f"{scheme}://{host}/")

    get("http://releases.example/file")
    assert proxy.next_request().startswith(f"CONNECT {PUBLIC}:80 ")


def test_redirect_to_the_inside_is_refused_behind_the_proxy(proxy: proxy_servers.Proxy) -> None:
    with pytest.raises(http_client.AddressRefused):
        get("http://releases.example/away", follow_redirects=3)


def test_name_that_changes_its_address_later_cannot_lead_the_proxy_elsewhere(
    proxy: proxy_servers.Proxy, names: dict[str, list[str]], plain: HTTPServer
) -> None:
    names["rebind.example"] = [PUBLIC]
    get("http://rebind.example/file")
    names["rebind.example"] = ["169.254.169.254"]

    with pytest.raises(http_client.AddressRefused):
        get("http://rebind.example/file")

    assert "rebind.example" not in proxy.next_request().split("\r\n")[0]


def test_second_address_is_tried_where_the_proxy_has_no_way_to_the_first(
    proxy: proxy_servers.Proxy, names: dict[str, list[str]], trusted: None
) -> None:
    names["releases.example"] = [OTHER, PUBLIC]

    assert get("https://releases.example/file").status == 200
    assert probe("https://releases.example/file").status == 200


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("login", ["", "saga:wrong@"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused_login_is_no_answer_of_the_service(
    scheme: str, login: str, proxy: proxy_servers.Proxy, settings: Any
) -> None:
    settings.SAGA_HTTP_PROXY = f"http://{login}127.0.0.1:{proxy.port}"

    for call in (get, probe):
        with pytest.raises(http_client.NoAnswer) as caught:
            call(f"{scheme}://releases.example/file")

        assert caught.value.message == proxies.LOGIN_REFUSED
        assert http_client.is_transient(caught.value)


@pytest.mark.parametrize("url", ["http://releases.example/", "https://releases.example/"])
def test_proxy_that_is_away_is_named_without_its_login(
    url: str, names: object, settings: Any
) -> None:
    settings.SAGA_HTTP_PROXY = f"http://{LOGIN}@127.0.0.1:{processes.any_free_port()}"
    settings.SAGA_NO_PROXY = []

    for call in (get, probe):
        with pytest.raises(http_client.NoAnswer) as caught:
            call(url)

        assert caught.value.message == proxies.UNREACHABLE
    assert "s3cret" not in repr(proxies.read(settings.SAGA_HTTP_PROXY))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 0 x\r\n\r\n"])
def test_proxy_that_speaks_no_http_is_an_error(answer: bytes, names: object, settings: Any) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_reply_twice, args=(listener, answer))
        thread.start()
        settings.SAGA_HTTP_PROXY = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings.SAGA_NO_PROXY = []

        for call in (get, probe):
            with pytest.raises(http_client.NoAnswer):
                call("https://releases.example/")

        thread.join()


def _reply_twice(listener: socket.socket, answer: bytes) -> None:
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


@pytest.mark.parametrize(
    ("exceptions", "host", "address", "is_direct"),
    [
        ([], "releases.example", PUBLIC, False),
        ([], "localhost", "127.0.0.1", True),
        ([], "localhost", "::1", True),
        ([], "localhost", "::ffff:127.0.0.1", True),
        (["10.0.0.0/8"], "inside.example", "10.1.2.3", True),
        (["10.0.0.0/8"], "inside.example", "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "releases.example", PUBLIC, False),
        ([PUBLIC], "releases.example", PUBLIC, True),
        (["[2606:4700::1111]"], "x.example", "2606:4700::1111", True),
        (["releases.example"], "releases.example", PUBLIC, True),
        (["releases.example"], "a.releases.example", PUBLIC, True),
        (["releases.example"], "other-releases.example", PUBLIC, False),
        ([".example"], "releases.example", PUBLIC, True),
        (["*.EXAMPLE"], "releases.example", PUBLIC, True),
        (["*"], "releases.example", PUBLIC, True),
    ],
)
def test_exceptions_are_names_and_networks(
    exceptions: list[str], host: str, address: str, is_direct: bool, settings: Any
) -> None:
    settings.SAGA_HTTP_PROXY = "http://proxy.example:3128"
    settings.SAGA_NO_PROXY = exceptions

    assert (proxies.for_address(host, address) is None) is is_direct


def test_variables_of_other_programs_are_ignored(
    plain: HTTPServer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{processes.any_free_port()}")

    assert get(plain.url_for("/file")).body == b"content"
