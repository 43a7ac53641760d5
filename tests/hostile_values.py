"""Texts, values, bodies and header fields that have broken servers before."""

from __future__ import annotations

from typing import Any

METHODS = (*("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),)
ODD_METHODS = (
    *("TRACE", "CONNECT", "PRI", "get", "G\x00T", "M-SEARCH", "PROPFIND", "", "X" * 300, "\xe9"),
)
TEXTS = (
    *("shop", "", " ", "\x00", "a\x00b", "..", "../../etc/passwd", "%", "%00", "%2e%2e%2f", "%zz"),
    *("%c0%af", "%ff", "%ed%a0%80", "\u202e", "é", "\U0001f600", "\ud800", "A" * 300, "a" * 5000),
    *(
        "' OR 1=1 --",
        "{{7*7}}",
        "<script>",
        "nan",
        "-1",
        "0",
        "1e999",
        "9" * 30,
        "1;2",
        "a/b",
        "a%2Fb",
    ),
    *(
        "null",
        "true",
        "[]",
        "\r\nX-Injected: 1",
        "register",
        "heartbeat",
        "watch",
        "export",
        "∞",
        "٣",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**40, 1.5, 1e308, [], {}, [[]], [None]),
    *(
        {"": ""},
        {"a": {"b": {"c": []}}},
        ["x"] * 200,
        "2026-11-29T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ),
    *(
        "0001-01-01T00:00:00+14:00",
        "https://ci.example/a.tgz",
        "http://[::1",
        "ftp://x/",
        "http://x:99999/",
    ),
)
BODIES = (
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e999}',
    ),
    *(b'{"service_name":"\\ud800"}', b'{"service_name":"a\\u0000"}', b"\xef\xbb\xbf{}", b"{}{}"),
    *(b"[" * 20_000, b'{"a":' * 5_000, b'{"n":' + b"9" * 5_000 + b"}", b"a=1&b=2", b"\x00" * 64),
)
TYPES = (
    *("application/json", "application/json; charset=utf-16", "application/x-www-form-urlencoded"),
    *(
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "",
        "\xff",
        "a" * 500,
    ),
)
FIELDS = (
    *("Content-Length: -1", "Content-Length: 1e3", "Content-Length: 5, 5", "Content-Length: ٣"),
    *(
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, x",
    ),
    *("Transfer-Encoding: xchunked", "Expect: 100-continue", "Expect: x", "Upgrade: websocket"),
    *(
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
        "Connection: x",
    ),
    *(
        "Host: evil.example",
        "Host: a, b",
        "Host: [::1",
        "Host: localhost:99999999",
        "Host:",
        "Host: \xff",
    ),
    *(
        "X-Forwarded-For: 1.2.3.4, ::1, nonsense",
        "X-Forwarded-Host: evil.example",
        'Forwarded: for="_x"',
    ),
    *(
        "X-Forwarded-Proto: javascript",
        "Idempotency-Key: ",
        "Idempotency-Key: \xe9",
        "Idempotency-Key: k",
    ),
    *(
        "Idempotency-Key: " + "k" * 300,
        "X-Request-ID: \x01",
        "X-Request-ID: " + "r" * 9000,
        "Range: bytes=9-1",
    ),
    *(
        "Authorization: Bearer",
        "Authorization: Basic Og==",
        "Authorization: Bearer a.b.c",
        "Authorization: \xff",
    ),
    *(
        "Authorization: Bearer " + "x" * 9000,
        "If-None-Match: \xff",
        'If-None-Match: W/"',
        "Accept: ;;q=x",
    ),
    *(
        "Cookie: sessionid=\xff; csrftoken=",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Accept-Encoding: *;q",
    ),
    *(
        "webhook-id: \xff",
        "webhook-id: x\r\nwebhook-timestamp: 1e9\r\nwebhook-signature: v1,%",
        "A" * 9000 + ": 1",
    ),
    *(
        "X-Webhook-Signature: sha256=zz",
        "X-Hub-Signature-256: \x00",
        "X-GitHub-Event: \xff",
        " folded: 1",
        "no colon",
    ),
    *(
        "Last-Event-ID: -1",
        "Last-Event-ID: \xff",
        "If-Modified-Since: never",
        "traceparent: 00-zz-zz-01",
        ": 1",
    ),
)


WORDS = (
    *(
        "instance_id",
        "ttl_seconds",
        "ttl",
        "metadata",
        "capabilities",
        "weight",
        "zone",
        "tags",
        "timestamp",
    ),
    *(
        "endpoints",
        "secret",
        "webhook_secret",
        "strategy",
        "strategy_options",
        "targets",
        "labels",
        "force",
    ),
    *(
        "channel",
        "message",
        "severity",
        "details",
        "topics",
        "callback_url",
        "state",
        "accepted",
        "full",
    ),
    *(
        "published_at",
        "checksum",
        "size_bytes",
        "artifact_type",
        "health_check_url",
        "notes",
        "seconds",
    ),
)
