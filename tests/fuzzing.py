"""Malformed and hostile requests over raw sockets, the same ones for the same seed.

``python -m bench.faults.fuzz`` sends ten thousand; a test sends some of them.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests import hostile_values

PATIENCE_SECONDS = 1.0
#: The last request of each connection, so that the server closes it.
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#: The stream does not end, and health answers 503 where no sweep runs.
LEFT_OUT = ("/api/v1/events/stream", "/api/v1/health", "/health")
_STATUS = re.compile(rb"^HTTP/1\.[01] ([1-5][0-9]{2}) ", re.MULTILINE)


@dataclass
class Outcome:
    """What came of the requests: answers by status, and those that were answered by 5xx.

    ``requests`` counts what was answered, without the last request of each connection; a connection
    without any other answer counts as one request.
    """

    requests: int = 0
    unanswered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[tuple[int, bytes]] = field(default_factory=list)

    def note(self, raw: bytes, answer: bytes, *, has_last: bool = False) -> None:
        statuses = [int(status) for status in _STATUS.findall(answer)]
        self.requests += max(1, len(statuses) - (1 if has_last else 0))
        self.unanswered += not statuses
        self.statuses.update(statuses)
        self.faults += [(status, raw) for status in statuses if status >= 500]


@dataclass(frozen=True)
class Fuzzer:
    """Writes requests: ``routes`` are methods with paths, whose ``{…}`` it fills in."""

    chance: random.Random
    routes: Sequence[tuple[str, str]]
    token: str = ""

    def connection(self) -> bytes:
        """Return the bytes of one connection, without its last request."""
        return self.chance.choice(self._kinds())()

    def _kinds(self) -> Sequence[Callable[[], bytes]]:
        # Well-formed heads reach the views, so they are sent more often.
        return [
            *[self._plain] * 8,
            *[self._with_odd_field] * 5,
            *[self._chunked] * 3,
            *(self._odd_line, self._pipelined, self._spoiled, self._huge, self._smuggling),
        ]

    def _plain(self, *more: str) -> bytes:
        method, path = self.chance.choice(self.routes)
        if self.chance.random() < 0.1:
            method = self.chance.choice(hostile_values.METHODS)
        return self._request(method, self._target(path), self._body(), *more)

    def _with_odd_field(self) -> bytes:
        return self._plain(*self.chance.sample(hostile_values.FIELDS, self.chance.randint(1, 3)))

    def _request(self, method: str, target: str, body: bytes, *more: str) -> bytes:
        fields = ["Host: localhost", f"Content-Type: {self._type()}", *self._authorization(), *more]
        if not any(line.startswith("Content-Length") for line in more):
            fields.append(f"Content-Length: {len(body)}")
        self.chance.shuffle(fields)
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *fields])
        return _wire(head) + b"\r\n\r\n" + body

    def _type(self) -> str:
        return (
            hostile_values.TYPES[0]
            if self.chance.random() < 0.85
            else self.chance.choice(hostile_values.TYPES)
        )

    def _authorization(self) -> list[str]:
        if self.chance.random() < 0.4:
            return []
        return [f"Authorization: Bearer {self.token}"]

    def _target(self, path: str) -> str:
        filled = re.sub(r"\{[^}]*\}", lambda _: self._piece(), path)
        while self.chance.random() < 0.5:
            mark = "&" if "?" in filled else "?"
            filled += f"{mark}{self._parameter()}={self._piece()}"
        return filled

    def _parameter(self) -> str:
        known = (
            "limit",
            "offset",
            "since",
            "until",
            "status",
            "service",
            "cursor",
            "wait",
            "window",
        )
        more = ("type", "format", "sticky", "version", "capability", "tag", "exclude", "zone", "")
        return self.chance.choice((*known, *more))

    def _piece(self) -> str:
        """Return a text as a client would write it into a URL, or as it must not."""
        text = self.chance.choice(hostile_values.TEXTS)
        if self.chance.random() < 0.5:
            return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
        return re.sub(r"[\s\x00]", "%20", text)

    def _body(self) -> bytes:
        if self.chance.random() < 0.25:
            return self.chance.choice(hostile_values.BODIES)
        return json.dumps(self._document()).encode()

    def _document(self) -> dict[str, Any]:
        known = {
            "service_name": "shop",
            "service_url": "http://127.0.0.1:9/",
            "slug": "shop",
            "name": "Shop",
            "version": "1.0.0",
            "base_url": "http://127.0.0.1:9/",
            "artifact_url": "https://ci.example/a.tgz",
            "status": "healthy",
            "event": "started",
            "subscriber": "x",
            "services": ["shop"],
            "decision": "hold",
            "reason": "fuzz",
        }
        for name in self.chance.sample((*known, *hostile_values.WORDS), self.chance.randint(0, 4)):
            known[name] = self.chance.choice((*hostile_values.VALUES, *hostile_values.TEXTS))
        return known

    def _chunked(self) -> bytes:
        method, path = self.chance.choice(self.routes)
        body = self._body()
        cut = self.chance.randint(0, len(body))
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part
        )
        ends = (
            *(
                b"0\r\n\r\n",
                b"0\r\nAuthorization: Bearer x\r\n\r\n",
                b"0\r\nX: \xff\r\n\r\n",
                b"-1\r\n\r\n",
            ),
            *(b"zz\r\n\r\n", b"0;ext=\x00\r\n\r\n", b"ffffffffffffffffff\r\nx", b"0\n\n", b"\r\n"),
        )
        head = "\r\n".join(
            [
                f"{method} {self._target(path)} HTTP/1.1",
                *(
                    "Host: localhost",
                    "Transfer-Encoding: chunked",
                    "Content-Type: application/json",
                ),
                *self._authorization(),
            ]
        )
        return _wire(head) + b"\r\n\r\n" + chunks + self.chance.choice(ends)

    def _odd_line(self) -> bytes:
        _, path = self.chance.choice(self.routes)
        method = self.chance.choice((*hostile_values.METHODS, *hostile_values.ODD_METHODS))
        target = self.chance.choice(
            (
                *(
                    self._target(path),
                    "*",
                    "",
                    "//",
                    "/\\",
                    f"http://evil.example{path}",
                    "localhost:80",
                ),
                *(
                    f"/{'a/' * 3000}",
                    "/%",
                    "/admin/%00/",
                    "/admin/login/?next=//evil",
                    "?",
                    "/api/v1/\xff",
                ),
                *(
                    "/api//v1/services",
                    "/api/v1/services/",
                    "/API/V1/services",
                    "/api/v1/../v1/services",
                ),
                *(
                    "/static/../../etc/passwd",
                    "/static/%2e%2e/x",
                    "/static/%00",
                    "/metrics",
                    "/health",
                ),
            )
        )
        version = self.chance.choice(
            ("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.99", "", "x")
        )
        return _wire(f"{method} {target} {version}\r\nHost: localhost\r\n\r\n")

    def _pipelined(self) -> bytes:
        return b"".join(self._plain() for _ in range(self.chance.randint(2, 6)))

    def _spoiled(self) -> bytes:
        """Return a request with bytes that were changed, lost or doubled on the way."""
        raw = bytearray(self._plain())
        for _ in range(self.chance.randint(1, 5)):
            at = self.chance.randrange(len(raw))
            raw[at : at + self.chance.randint(0, 3)] = self.chance.randbytes(
                self.chance.randint(0, 4)
            )
        return bytes(raw)

    def _huge(self) -> bytes:
        _, path = self.chance.choice(self.routes)
        kinds: Sequence[Callable[[], bytes]] = (
            lambda: self._plain(*(f"X-{number}: 1" for number in range(150))),
            lambda: self._plain(f"X-Long: {'x' * 70_000}"),
            lambda: self._request("POST", self._target(path), b" " * 1_100_000),
            lambda: self._request("GET", f"{path}?q={'q' * 60_000}", b""),
        )
        return self.chance.choice(kinds)()

    def _smuggling(self) -> bytes:
        _, path = self.chance.choice(self.routes)
        inner = _wire(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line = self.chance.choice(
            (
                "Transfer-Encoding: chunked",
                "Transfer-Encoding : chunked",
                "Transfer-Encoding:\tchunked",
                "X: 1\rY: 2",
            )
        )
        return self._request("POST", self._target(path), b"0\r\n\r\n" + inner, line)


def _wire(head: str) -> bytes:
    return head.encode("utf-8", "surrogatepass")


def exchange(port: int, raw: bytes) -> bytes:
    """Send the bytes and return all answers; a server that waits for more is left after a second."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw + LAST)
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.settimeout(PATIENCE_SECONDS if _may_wait(raw) else 10)
            while piece := connection.recv(65536):
                received += piece
    return received


def _may_wait(raw: bytes) -> bool:
    """Whether the request may be incomplete, so that the server waits for its rest."""
    return not raw.endswith(b"\r\n\r\n")


def run(port: int, connections: Iterable[bytes], outcome: Outcome) -> None:
    for raw in connections:
        outcome.note(raw, exchange(port, raw), has_last=True)


def routes(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the operations of an OpenAPI document, and the addresses beside the API."""
    found = [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path not in LEFT_OUT
    ]
    beside = ("/", "/livez", "/readyz", "/metrics", "/admin/", "/admin/login/", "/nothing/{}")
    return [*found, *(("GET", path) for path in beside), ("POST", "/admin/login/")]
