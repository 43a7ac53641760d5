"""The guard in front of every outgoing call: what it refuses, and what it survives."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from saga_project.shared import errors, http_client
from saga_project.shared.http_client import client, sockets

HOSTILE_SYNTAX = [
    "",
    "example.com",
    "//example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:6379/info",
    "javascript:alert(1)",
    "data:text/plain,hello",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "http:",
    "http://",
    "http:///path",
    "http:example.com",
    "http://?query",
    "http://#fragment",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://example.com@169.254.169.254/",
    "http://169.254.169.254\\@example.com/",
    "http://example.com\\.inside/",
    "http://exam ple.com/",
    " http://example.com/",
    "http://example.com/\n",
    "http://example.com/\r\nX-Injected: 1",
    "http://exa\tmple.com/",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\u2028",
    "http://\ufeffexample.com/",
    "http://example.com:0/",
    "http://example.com:/",
    "http://example.com:65536/",
    "http://example.com:-1/",
    "http://example.com:80x/",
    "http://example.com:٨٠/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.0x1/",
    "http://127.0.0.1./",
    "http://256.1.1.1/",
    "http://1.2.3.4.5/",
    "http://example.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://ⓔxample.com/",
    "http://exämple.com/",
    "http://localhost./",
    "http://a..b/",
    "http://-a.example/",
    "http://exa%6dple.com/",
    "http://[::1/",
    "http://::1/",
    "http://[::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[example.com]/",
    "http://[v1.fe80::a]/",
    "http://[]/",
    "http://" + "a" * 64 + ".example/",
    "http://example.com/" + "a" * 2048,
    "http://example.com/\ud800",
]

HOSTILE_ADDRESSES = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://0.0.0.0/",
    "http://0.0.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://[::]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:0.0.0.0]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[::ffff:0:7f00:1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
]

INSIDE = [
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fc00::1]/",
    "http://[2001:db8::1]/",
    "http://[4000::1]/",
    "http://localhost/",
]

Reply = Callable[[socket.socket], None]
Serve = Callable[[Reply], str]


def get(url: str, **options: Any) -> http_client.Response:
    return http_client.request("GET", url, purpose="test", **{"timeout_seconds": 5.0, **options})


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make each look-up of a name yield the next of ``answers``; returns the names that were asked for."""
    original, asked, rounds = socket.getaddrinfo, [], itertools.chain(answers, itertools.repeat([]))

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host != "rebind.example":
            return original(host, port, *args, **kwargs)
        asked.append(host)
        found = [original(address, port, *args, **kwargs)[0] for address in next(rounds)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that hands each connection, its request read, to a function of the test's."""
    with contextlib.ExitStack() as stack:

        def start(reply: Reply) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=_answer_all, args=(listener, reply), daemon=True)
            stack.callback(thread.join, 10)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            thread.start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/"

        yield start


def _answer_all(listener: socket.socket, reply: Reply) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                connection.recv(65536)
                reply(connection)


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a")
        time.sleep(0.02)


# --- Syntax ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", HOSTILE_SYNTAX)
def test_refuses_a_hostile_url_when_it_is_stored(url: str) -> None:
    with pytest.raises(http_client.InvalidUrl):
        http_client.check_url(url)


@pytest.mark.parametrize("url", HOSTILE_SYNTAX)
def test_refuses_a_hostile_url_when_it_is_called(url: str) -> None:
    with pytest.raises(http_client.InvalidUrl):
        get(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/...",
        "https://github.com/example/payment/releases/v1.3.0/payment-v1.3.0.tar.gz",
        "http://localhost:8001",
        "http://my_service:8000/hook?a=1&b=[2]",
        "http://10.0.0.1:65535/",
        "http://[::1]:8000/",
        "http://[2606:4700::1111]/",
        "HTTPS://EXAMPLE.COM/",
        "http://xn--exmple-cua.com/",
        "http://example.com/grüße?q=ü#part",
    ],
)
def test_url_with_plain_syntax_is_accepted(url: str) -> None:
    http_client.check_url(url)


def test_names_the_field_but_repeats_nothing_of_the_url() -> None:
    with pytest.raises(http_client.InvalidUrl) as caught:
        http_client.check_url("http://user:s3cret@example.com/", field="artifact_url")

    assert "artifact_url" in caught.value.message
    assert "s3cret" not in caught.value.message


# --- Addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", HOSTILE_ADDRESSES)
def test_never_calls_some_addresses_whatever_is_allowed(url: str, settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["0.0.0.0/0", "::/0"]

    with pytest.raises(http_client.AddressRefused):
        get(url)


@pytest.mark.parametrize("url", INSIDE)
def test_refuses_what_is_inside_unless_it_is_allowed(url: str, settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = []

    with pytest.raises(http_client.AddressRefused) as caught:
        get(url)

    assert "SAGA_ALLOWED_NETWORKS" in caught.value.message


def test_calls_an_inside_address_that_is_allowed(httpserver: HTTPServer, settings: Any) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    httpserver.expect_request("/hook").respond_with_data("hello")

    response = get(httpserver.url_for("/hook"))

    assert (response.status, response.body) == (200, b"hello")


def test_own_database_is_never_called(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setitem(settings.DATABASES["default"], "PORT", port)

        with pytest.raises(http_client.AddressRefused, match="port"):
            get(f"http://127.0.0.1:{port}/")


def test_own_redis_is_never_called(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings.REDIS_URL = f"redis://:password@127.0.0.1:{port}/0"

        with pytest.raises(http_client.AddressRefused, match="port"):
            get(f"http://127.0.0.1:{port}/")


def test_every_address_of_the_resolver_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["127.0.0.1", "169.254.169.254"])

    with pytest.raises(http_client.AddressRefused):
        get("http://rebind.example/")


def test_checked_address_is_dialled_even_if_the_name_rebinds(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/").respond_with_data("checked")
    asked = resolve_to(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])

    response = get(f"http://rebind.example:{httpserver.port}/")

    assert response.body == b"checked"
    assert asked == ["rebind.example"]


def test_rebound_name_is_checked_at_the_next_call(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/").respond_with_data("checked")
    resolve_to(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    get(f"http://rebind.example:{httpserver.port}/")

    with pytest.raises(http_client.AddressRefused):
        get(f"http://rebind.example:{httpserver.port}/")


def test_peer_other_than_the_checked_address_is_rejected(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda self: ("10.9.9.9", 80))

    with pytest.raises(http_client.AddressRefused, match="unchecked"):
        get(httpserver.url_for("/"))


def test_the_error_names_the_rule_and_not_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["169.254.169.254"])

    with pytest.raises(http_client.AddressRefused) as caught:
        get("http://rebind.example/")

    assert "169.254" not in caught.value.message


def test_an_unknown_host_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, [])

    with pytest.raises(http_client.NoAnswer):
        get("http://rebind.example/")


def test_a_resolver_that_hangs_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: is_over.wait(10) and [])

    with pytest.raises(http_client.TookTooLong):
        get("http://rebind.example/", timeout_seconds=0.2)
    is_over.set()


def test_goes_on_to_the_next_address_where_one_is_dead(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/").respond_with_data("second")
    resolve_to(monkeypatch, ["::1", "127.0.0.1"])

    assert get(f"http://rebind.example:{httpserver.port}/").body == b"second"


def test_ignores_proxy_variables_and_netrc(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login somebody password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    httpserver.expect_request("/").respond_with_data("direct")

    response = get(httpserver.url_for("/"))

    assert response.body == b"direct"
    assert "Authorization" not in httpserver.log[0][0].headers


# --- Redirects ------------------------------------------------------------------------------------


def redirect(httpserver: HTTPServer, path: str, place: str, status: int = 302) -> None:
    httpserver.expect_request(path).respond_with_data(status=status, headers={"Location": place})


def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(httpserver: HTTPServer) -> None:
    redirect(httpserver, "/", "http://169.254.169.254/")

    assert get(httpserver.url_for("/")).status == 302


def test_follows_a_relative_redirect(httpserver: HTTPServer) -> None:
    redirect(httpserver, "/a", "b")
    httpserver.expect_request("/b").respond_with_data("there")

    assert get(httpserver.url_for("/a"), follow_redirects=1).body == b"there"


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "//169.254.169.254/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1/",
        "http://[::1/",
    ],
)
def test_redirect_is_checked_like_a_first_url(serve: Serve, place: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n".encode()
    url = serve(lambda connection: connection.sendall(answer))

    with pytest.raises(errors.InvalidRequest):
        get(url, follow_redirects=3)


def test_name_that_rebinds_between_redirects_is_checked_again(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    redirect(httpserver, "/", "/again")
    resolve_to(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])

    with pytest.raises(http_client.AddressRefused):
        get(f"http://rebind.example:{httpserver.port}/", follow_redirects=3)


def test_gives_up_on_a_circle_of_redirects(httpserver: HTTPServer) -> None:
    redirect(httpserver, "/", "/")

    with pytest.raises(http_client.TooManyRedirects):
        get(httpserver.url_for("/"), follow_redirects=3)
    assert len(httpserver.log) == 4


def test_does_not_follow_a_redirected_post(httpserver: HTTPServer) -> None:
    redirect(httpserver, "/", "/elsewhere", status=307)

    response = http_client.request(
        "POST", httpserver.url_for("/"), purpose="test", body=b"{}", follow_redirects=3
    )

    assert response.status == 307
    assert len(httpserver.log) == 1


def test_sends_another_origin_nothing_that_was_meant_for_the_first(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    redirect(httpserver, "/", f"http://rebind.example:{httpserver.port}/other")
    httpserver.expect_request("/other").respond_with_data("")
    resolve_to(monkeypatch, ["127.0.0.1"])

    get(
        httpserver.url_for("/"),
        headers={"Authorization": "Bearer s3cret", "Private-Token": "s3cret", "Accept": "a/b"},
        follow_redirects=1,
    )

    reported = httpserver.log[1][0].headers
    assert reported["Accept"] == "a/b"
    assert "Authorization" not in reported
    assert "Private-Token" not in reported


# --- Answers --------------------------------------------------------------------------------------


def test_sends_method_headers_and_body_as_given(httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/hook", method="POST", data="{}", query_string="a=1", headers={"X-One": "1"}
    ).respond_with_data("taken", status=202, headers={"X-Two": "2"})

    response = http_client.request(
        "POST",
        httpserver.url_for("/hook?a=1"),
        purpose="test",
        headers={"X-One": "1"},
        body=b"{}",
    )

    assert (response.status, response.headers["x-two"], response.body) == (202, "2", b"taken")


def test_a_header_with_a_line_break_is_refused_without_repeating_it(
    httpserver: HTTPServer,
) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        get(httpserver.url_for("/"), headers={"Authorization": "s3cret\r\nX-Injected: 1"})

    assert "s3cret" not in f"{caught.value.message} {caught.value.__cause__}"


def test_closed_port_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(http_client.NoAnswer):
        get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"", http_client.NoAnswer),
        (b"garbage\r\n\r\n", http_client.AnswerBroken),
        (b"HTTP/1.1 99999 OK\r\n\r\n", http_client.AnswerBroken),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", http_client.AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n", http_client.AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", http_client.AnswerBroken),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
            http_client.AnswerBroken,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", http_client.AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", http_client.AnswerTooLarge),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 101, http_client.AnswerTooLarge),
    ],
)
def test_distinguishes_how_an_answer_can_be_wrong(
    serve: Serve, reply: bytes, expected: type[errors.SagaError]
) -> None:
    url = serve(lambda connection: connection.sendall(reply))

    with pytest.raises(errors.SagaError) as caught:
        get(url, max_bytes=100)

    assert type(caught.value) is expected


def test_an_endless_body_is_cut_at_its_limit(serve: Serve) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"a" * 65536)

    with pytest.raises(http_client.AnswerTooLarge):
        get(serve(reply), max_bytes=1_000_000)


def test_the_beginning_of_an_endless_body_is_enough_where_asked_for(serve: Serve) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"a" * 65536)

    response = get(serve(reply), max_bytes=2048, truncate=True)

    assert (response.status, len(response.body), response.is_truncated) == (200, 2048, True)


def test_a_short_body_is_whole_where_the_beginning_was_asked_for(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("short")

    response = get(httpserver.url_for("/"), max_bytes=2048, truncate=True)

    assert (response.body, response.is_truncated) == (b"short", False)


def test_a_body_that_stops_short_keeps_its_status_where_the_beginning_was_asked_for(
    serve: Serve,
) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nbeg")
        drip(connection)

    response = get(serve(reply), max_bytes=2048, truncate=True, timeout_seconds=1.0)

    assert (response.status, response.body[:3], response.is_truncated) == (200, b"beg", True)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="headers"),
        pytest.param(b"HTTP/1.1 ", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", id="chunk"),
    ],
)
def test_a_slow_drip_ends_with_the_deadline(serve: Serve, beginning: bytes) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(beginning)
        drip(connection)

    with pytest.raises(http_client.TookTooLong):
        get(serve(reply), timeout_seconds=0.3)


def test_endless_interim_answers_end_with_the_deadline(serve: Serve) -> None:
    def reply(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with pytest.raises(http_client.TookTooLong):
        get(serve(reply), timeout_seconds=0.3)


def test_a_receiver_that_never_reads_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        with pytest.raises(http_client.TookTooLong):
            http_client.request(
                "POST", url, purpose="test", body=b"a" * 20_000_000, timeout_seconds=0.3
            )


def test_a_tls_handshake_that_stalls_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"

        with pytest.raises(http_client.TookTooLong):
            get(url, timeout_seconds=0.3)


# --- Downloads ------------------------------------------------------------------------------------


def read(url: str, **options: Any) -> bytes:
    with http_client.download(
        url, purpose="artifact", **{"max_bytes": 1_000_000, **options}
    ) as download:
        return b"".join(download.chunks)


def test_downloads_in_chunks_and_returns_the_declared_size(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"a" * 200_000)

    with http_client.download(
        httpserver.url_for("/"), purpose="artifact", max_bytes=200_000
    ) as download:
        sizes = [len(chunk) for chunk in download.chunks]

    assert download.size == sum(sizes) == 200_000
    assert len(sizes) > 1


def test_a_download_follows_redirects(httpserver: HTTPServer) -> None:
    redirect(httpserver, "/latest", "/v1")
    httpserver.expect_request("/v1").respond_with_data(b"bytes")

    assert read(httpserver.url_for("/latest")) == b"bytes"


def test_a_download_asks_for_no_compression_and_refuses_it(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"x", headers={"Content-Encoding": "gzip"})

    with pytest.raises(http_client.AnswerBroken):
        read(httpserver.url_for("/"))
    assert httpserver.log[0][0].headers["Accept-Encoding"] == "identity"


def test_a_download_that_is_not_there_says_its_status(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(status=404)

    with pytest.raises(http_client.DownloadFailed) as caught:
        read(httpserver.url_for("/"))

    assert caught.value.answer_status == 404


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", http_client.AnswerBroken),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
            http_client.AnswerBroken,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n", http_client.AnswerTooLarge),
    ],
)
def test_a_cut_or_oversized_download_never_passes_as_whole(
    serve: Serve, reply: bytes, expected: type[errors.SagaError]
) -> None:
    url = serve(lambda connection: connection.sendall(reply))

    with pytest.raises(expected):
        read(url)


def test_a_slow_download_ends_with_the_deadline(serve: Serve) -> None:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(connection)

    with pytest.raises(http_client.TookTooLong):
        read(serve(reply), timeout_seconds=0.3)


def test_a_download_that_stalls_ends_long_before_its_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STALL_SECONDS", 0.2)

    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf")
        connection.recv(1)  # until the client gives up

    with pytest.raises(http_client.TookTooLong):
        read(serve(reply), timeout_seconds=600)


def test_a_download_below_the_least_rate_ends_long_before_its_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RATE_WINDOW_SECONDS", 0.2)

    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(connection)

    with pytest.raises(http_client.TookTooLong, match="less than 1024 bytes per second"):
        read(serve(reply), timeout_seconds=600)


def test_leaves_the_callers_own_errors_alone(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"bytes")

    with (
        pytest.raises(OSError, match="no space left"),
        http_client.download(httpserver.url_for("/"), purpose="artifact", max_bytes=10),
    ):
        raise OSError("no space left")


def test_verifies_certificates() -> None:
    context = sockets.tls()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
