"""Header lines, checked byte by byte."""

from __future__ import annotations

import hashlib

import pytest

from saga_project.shared import request_heads

HOST = b"Host: localhost:8030"


def test_reads_what_a_usual_request_says() -> None:
    lines = b"\r\n".join(
        [
            HOST,
            b"User-Agent: curl/8",
            b"CONTENT-TYPE: application/json",
            b"Content-Length:  17 ",
            b"Authorization: Bearer saga_abc",
            b"X-Request-ID: abc-1",
        ]
    )

    assert request_heads.read(lines) == request_heads.Head(
        host=b"localhost:8030",
        token_digest=hashlib.sha256(b"saga_abc").hexdigest(),
        request_id="abc-1",
        length=17,
        is_json=True,
    )


@pytest.mark.parametrize(
    "line",
    [
        b"Cookie: sessionid=1",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: close",
        b"Connection: keep-alive, upgrade",
        b"Idempotency-Key: 1",
        b"Content-Type: text/plain",
        b"Content-Length: -1",
        b"Content-Length: +1",
        b"Content-Length: 1_0",
        b"Content-Length: 12345678",
        b"Content-Length:",
        b"Authorization: Basic abc",
        b"Authorization: Bearer",
        b"Authorization: Bearer a b",
        b"Authorization: bearer saga_abc",
        b"host: another",
        b"Accept : text/html",
        b" folded: line",
        b"no colon",
        b"User-Agent: caf\xc3\xa9",
        b"User-Agent: a\x00b",
        b"User-Agent: a\rb",
        b"User-Agent: a\tb",
        b"",
        b"Accept: " + b"x" * request_heads.MAX_BYTES,
    ],
)
def test_unusual_header_line_is_left_to_the_parser(line: bytes) -> None:
    assert request_heads.read(HOST + b"\r\n" + line) is None


def test_a_request_without_a_host_is_not_usual() -> None:
    assert request_heads.read(b"Accept: */*") is None


def test_remembers_no_more_than_so_many() -> None:
    for number in range(3 * request_heads.MAX_REMEMBERED):
        request_heads.read(HOST + b"\r\nUser-Agent: %d" % number)

    assert len(request_heads._remembered) <= request_heads.MAX_REMEMBERED


def test_remembers_no_token() -> None:
    request_heads.read(HOST + b"\r\nAuthorization: Bearer saga_secret")

    assert not any(b"saga_secret" in key for key in request_heads._remembered)


def test_a_connection_reads_each_request_s_own_lines() -> None:
    reader = request_heads.Reader()
    lines = [HOST + b"\r\nX-Request-ID: %d" % number for number in (1, 1, 2, 2, 1)]

    found = [reader.read(each) for each in lines]

    assert [head and head.request_id for head in found] == ["1", "1", "2", "2", "1"]
    assert reader.read(HOST + b"\r\nCookie: a=b") is None
    assert reader.read(HOST) is not None


def test_a_connection_holds_no_token() -> None:
    reader = request_heads.Reader()
    head = reader.read(HOST + b"\r\nAuthorization: Bearer saga_secret")

    assert head is not None
    assert "saga_secret" not in repr((reader._number, head))
