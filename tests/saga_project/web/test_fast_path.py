"""The fast path answers byte for byte what Django answers, or leaves it to Django."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from redis import Redis

from registry import directory, operations
from registry.api import conditional
from registry.identity import accounts
from registry.models import Event, Instance, Service, Token
from tests import waiting, webserver
from tests.faults import FaultProxy
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LONG_TTL = 3600
_OWN_ID = re.compile(rb"x-request-id: [0-9a-f]{32}\r\n")
_POLICY = re.compile(rb"(?<=content-security-policy: )([^\r]+)")
_DATE = re.compile(rb"date: [^\r]+\r\n")


class ClosedWhileIdle(AssertionError):
    """The server ended a connection that nothing was asked on for a while."""


class Connection:
    """One keep-alive connection that is spoken to in bytes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self._file = self._socket.makefile("rb")

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def ask(self, raw: bytes) -> bytes:
        try:
            self.send(raw)
            answer = self.read()
        except (ClosedWhileIdle, ConnectionError):  # on a busy machine a test pauses for that long
            self._reopen()
            self.send(raw)
            answer = self.read()
        if b"connection: close\r\n" in answer:
            self._reopen()
        return answer

    def _reopen(self) -> None:
        self.close()
        self._open()

    def read(self) -> bytes:
        """Return one whole answer, as it was sent."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            if not line and not head:
                raise ClosedWhileIdle("The connection was closed before an answer.")
            assert line, f"the connection was closed after {head!r}"
            head += line
        length = re.search(rb"content-length: (\d+)", head)
        return head + (self._file.read(int(length[1])) if length else self._read_chunks())

    def _read_chunks(self) -> bytes:
        content = b""
        while not content.endswith(b"0\r\n\r\n"):
            content += self._file.readline()
        return content

    def twin(self) -> Connection:
        return Connection(self._port)

    def is_at_end(self) -> bool:
        """Whether the server closes it by itself, before it tires of waiting (after 5 s)."""
        self._socket.settimeout(3)
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@dataclass
class Twins:
    """The same Saga twice, over the same data: with the fast path, and without."""

    fast: WebServer
    plain: WebServer

    @contextlib.contextmanager
    def connections(self) -> Iterator[tuple[Connection, Connection]]:
        both = Connection(self.fast.port), Connection(self.plain.port)
        try:
            yield both
        finally:
            for connection in both:
                connection.close()


@contextlib.contextmanager
def twins(*, mode: str = "open") -> Iterator[Twins]:
    with (
        webserver.serving(SAGA_AUTH=mode, SAGA_RATE_LIMIT="100000") as fast,
        webserver.serving(
            SAGA_AUTH=mode, SAGA_RATE_LIMIT="100000", SAGA_FAST_PATH="false"
        ) as plain,
    ):
        yield Twins(fast, plain)


def comparable(answer: bytes) -> bytes:
    """Remove what differs between any two processes: date, generated ids, order within CSP."""
    answer = _OWN_ID.sub(b"x-request-id: new\r\n", _DATE.sub(b"", answer))
    return _POLICY.sub(lambda match: b"; ".join(sorted(match[1].split(b"; "))), answer)


def request(
    method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    lines = {"Host": "127.0.0.1:8030", **(headers or {})}
    if body is not None:
        lines.setdefault("Content-Length", str(len(body)))
        lines.setdefault("Content-Type", "application/json")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def register(name: str, **extra: object) -> operations.Registered:
    registration = operations.Registration(
        **{  # type: ignore[arg-type]
            "service_name": name,
            "url": f"http://127.0.0.1:9/{name}",
            "ttl_seconds": LONG_TTL,
            "capabilities": ["rest"],
            **extra,
        }
    )
    return operations.register(registration, by=None, now=NOW)


def fast_path_hits(server: WebServer, *, token: str = "", status: int = 200) -> dict[str, int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    text = server.get("/metrics", headers=headers).text
    line = rf'^saga_fast_path_answers_total\{{route="(\w+)",status="{status}"\}} (\S+)$'
    return {route: int(float(value)) for route, value in re.findall(line, text, re.MULTILINE)}


# --- Requests of every kind -----------------------------------------------------------------------


class Generator:
    """Makes requests as clients make them, and as clients should not."""

    def __init__(self, seed: int, tokens: list[str]) -> None:
        self._random = random.Random(seed)
        self._tokens = tokens
        self._tags = [
            conditional.tag_of(entry, instance).decode()
            for entry in directory.all_services()
            for instance in entry.instances
        ]
        self._is_wild = False

    def one(self) -> bytes:
        self._is_wild = self._random.random() < 0.5
        kind = self._random.choice(
            [
                *(self._lookup, self._list, self._resolve),
                *(self._heartbeat, self._bulk, self._register, self._other),
            ]
        )
        method, path, body, headers = kind()
        path += self._maybe("", ["/", "?", "?limit=1", "?x=%ff", "//", "%20"], 0.06)
        return request(method, path, body=body, headers={**headers, **self._headers()})

    def _maybe(self, usual: str, unusual: list[str], share: float) -> str:
        is_unusual = self._is_wild and self._random.random() < share
        return self._random.choice(unusual) if is_unusual else usual

    def _name(self) -> str:
        usual = self._random.choice(["alpha", "beta", "gamma", "owned", "ill", "waiting", "many"])
        unusual = ["nobody", "register", "heartbeat", "watch", "-bad", "a%62c", "x" * 200, "é", ""]
        return self._maybe(usual, unusual, 0.2)

    def _headers(self) -> dict[str, str]:
        if not self._is_wild:
            return {"Authorization": f"Bearer {self._tokens[0]}", "X-Request-ID": "abc-123"}
        choices: list[dict[str, str]] = [
            {"X-Request-ID": "abc-123"},
            {"X-Request-ID": "with space"},
            {"X-Request-ID": "x" * 129},
            {"Accept": "text/html", "User-Agent": "curl/8"},
            {"Accept-Encoding": "gzip, br", "X-Forwarded-For": "10.1.2.3"},
            {"Host": "localhost"},
            {"Host": "[::1]:8030"},
            {"Host": "saga.example.com"},
            {"Host": "127.0.0.1:x"},
            {"Cookie": "sessionid=abc"},
            {"Idempotency-Key": f"key-{self._random.randrange(5)}"},
            {"X_Request_ID": "underscore"},
            {"Authorization": "Basic abc"},
            {"Authorization": "Bearer saga_wrong"},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/json; charset=utf-8"},
            {"If-None-Match": '"abc"'},
            {"If-None-Match": self._tag()},
            {"If-None-Match": f'"abc", {self._tag()}'},
            {"If-None-Match": "*"},
            {"If-None-Match": "rubbish"},
            {"Range": "bytes=0-10"},
            *({"Authorization": f"Bearer {token}"} for token in self._tokens * 4),
        ]
        return self._random.choice(choices) if self._random.random() < 0.5 else {}

    def _lookup(self) -> tuple[str, str, None, dict[str, str]]:
        method = self._maybe("GET", ["HEAD2", "PUT", "OPTIONS", "DELETE"], 0.05)
        return method.replace("HEAD2", "GET"), f"/api/v1/services/{self._name()}", None, {}

    def _list(self) -> tuple[str, str, None, dict[str, str]]:
        return self._maybe("GET", ["PUT", "POST"], 0.05), "/api/v1/services", None, {}

    def _tag(self) -> str:
        """Return a tag of one of the services, or of none."""
        return self._random.choice([*self._tags, *(tag.removeprefix("W/") for tag in self._tags)])

    def _resolve(self) -> tuple[str, str, None, dict[str, str]]:
        """Only what leaves no choice: both answer at random by themselves."""
        name = self._maybe("alpha", ["beta", "owned", "ill", "nobody", "-bad"], 0.3)
        query = self._random.choice(
            ["", "?zone=eu", "?capability=rest", "?exclude=other", "?sticky=bob%20b", "?version=*"]
        )
        many = [f"?sticky=user-{number}" for number in range(5)] + [
            *("?exclude=two&exclude=default", "?exclude=two&exclude=host:pay:80", "?zone="),
            *("?capability=soap", "?capability=grpc", "?version=>=2", "?version=>", "?exclude=-"),
            *("?sticky=a&other=1", "?zone=%00", "?zone=a&zone=b&sticky=c", "?sticky=%C3%A9+b"),
        ]
        if self._is_wild and self._random.random() < 0.5:
            name, query = "many", self._random.choice(many)
            if "sticky" not in query and query.count("exclude") < 2:
                name = "alpha"
        return "GET", f"/api/v1/services/{name}/resolve{query}", None, {}

    def _heartbeat(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        body = self._random.choice([None, b"", b"{}", self._json(self._beat())])
        return "POST", f"/api/v1/services/{self._name()}/heartbeat", body, {}

    def _beat(self) -> dict[str, object]:
        return self._some(
            {
                "instance_id": [
                    "default",
                    "two",
                    "none",
                    "",
                    5,
                    None,
                    "bad id",
                    "host:pay:80",
                    "a#b",
                ],
                "status": ["passing", "passing", "passing", None, "fine", 1, True],
                "version": [None, "", "1.0", "..", 3, "1:2.3-1~deb12u1"],
                "note": [None, "", "  ", "x" * 1001, []],
                "extra": [1, "x", None, {"a": [1]}],
            }
        )

    def _bulk(self) -> tuple[str, str, bytes, dict[str, str]]:
        items: list[object] = [
            self._random.choice([self._name(), {"service_name": self._name(), **self._beat()}])
            for _ in range(self._random.choice([1, 2, 3, 20]))
        ]
        document: object = self._random.choice(
            [{"services": items}] * 8 + [{"services": []}, {"services": "alpha"}, {}, [], items]
        )
        return "POST", "/api/v1/services/heartbeat", self._json(document), {}

    def _register(self) -> tuple[str, str, bytes, dict[str, str]]:
        names = ["alpha", "beta", "ill", "many", "owned"] if self._is_wild else ["owned"]
        name = self._random.choice(names)
        document: dict[str, object] = {
            "service_name": name,
            "service_url": f"http://127.0.0.1:9/{name}",
            "capabilities": ["rest"] if name != "owned" else [],
            "ttl": LONG_TTL,
        }
        document |= self._some(
            {
                "service_name": [name, name, "", 5, None, "a b", "register"],
                "service_url": [document["service_url"], "ftp://x", "http://", "http://a:b@c", 7],
                "capabilities": [["rest"], ["rest", "rest"], ["soap"], "rest", [1], None, [[]]],
                "instance_id": ["default", None, "", "no spaces", 4, "host:pay:80"],
                "version": [None, "", "..", 1],
                "metadata": [{}, None, {"a": 1}, [], {"a": None}],
                "weight": [1, True, 1.0, "1", -1, 65536, None],
                "zone": ["", None, 1, "x" * 129],
                "ttl": [LONG_TTL, 4, 3601, "60", True, 3600.0],
                "unknown": ["x", 1, None],
            }
        )
        return "POST", "/api/v1/services/register", self._json(document), {}

    def _other(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        path = self._random.choice(
            [
                "/api/v1/services/alpha/instances",
                "/api/v1/nothing",
                "/api/v1/services/nobody/resolve",
            ]
        )
        return "GET", path, None, {}

    def _some(self, choices: dict[str, list[object]]) -> dict[str, object]:
        keys = [key for key in choices if self._is_wild and self._random.random() < 0.2]
        return {key: self._random.choice(choices[key]) for key in keys}

    def _json(self, document: object) -> bytes:
        raw = json.dumps(document).encode()
        if self._is_wild and self._random.random() < 0.05:
            return self._random.choice(
                [
                    raw[:-1],
                    raw.replace(b"{", b'{"a":1,"a":2,', 1),
                    b"\xff",
                    b"NaN",
                    b'{"a":"\\u0000"}',
                ]
            )
        return raw


@pytest.fixture
def services(redis: Redis) -> list[str]:
    """A registry with services of every standing; returns tokens of every standing."""
    account = accounts.ensure_account("team", scopes=["services:read", "registry:manage"])
    _, good = accounts.issue_token(account, scopes=["services:read", "registry:manage"])
    _, reader = accounts.issue_token(account, scopes=["services:read"])
    revoked, ended = accounts.issue_token(account, scopes=["registry:manage"])
    accounts.revoke_token(revoked, at=NOW)
    for name in ("alpha", "beta", "gamma", "ill"):
        register(name)
    register("many")
    register("many", instance_id="two", weight=0)
    register("many", instance_id="host:pay:80")
    registration = operations.Registration(
        service_name="owned", url="http://127.0.0.1:9/owned", ttl_seconds=LONG_TTL
    )
    caller = accounts.recognise(good, now=NOW)
    operations.register(registration, by=caller, now=NOW)
    beat = operations.Heartbeat(service_name="ill", health="critical")
    operations.renew(beat, by=None, now=NOW)
    return [good, reader, ended]


@pytest.mark.parametrize(("mode", "count"), [("open", 1300), ("required", 700)])
def test_answers_what_django_answers(services: list[str], mode: str, count: int) -> None:
    generator = Generator(seed=7, tokens=services)
    with twins(mode=mode) as both, both.connections() as (fast, plain):
        for _ in range(count):
            assert_same(fast, plain, generator.one())
        hits = fast_path_hits(both.fast, token=services[0])

    assert min(hits.values()) > count // 50, hits


def assert_same(fast: Connection, plain: Connection, raw: bytes) -> None:
    """Ask both; what was changed through one of them may take a moment to reach the other."""
    deadline = time.monotonic() + 5
    while True:
        ours, theirs = comparable(fast.ask(raw)), comparable(plain.ask(raw))
        if ours == theirs or time.monotonic() > deadline:
            assert ours == theirs, raw
            return
        time.sleep(0.02)


def is_found(connection: Connection, raw: bytes) -> bool:
    return b"200 OK" in connection.ask(raw)


def test_both_ways_follow_the_share_of_a_rollout(services: list[str]) -> None:
    """Each answer is one of two; byte for byte the same two in both."""
    register("rolling", version="1")
    register("rolling", instance_id="canary", url="http://127.0.0.1:9/canary", version="2")
    operations.set_canary("rolling", version="2", percent=20)
    raw = request("GET", "/api/v1/services/rolling", headers={"X-Request-ID": "same"})

    with twins() as both, both.connections() as connections:
        for connection in connections:
            waiting.until(partial(is_found, connection, raw))
        answers = [Counter(comparable(each.ask(raw)) for _ in range(1000)) for each in connections]
        hits = fast_path_hits(both.fast)

    assert hits["lookup"] >= 1000
    assert set(answers[0]) == set(answers[1])
    for counts in answers:
        canary, old = sorted(counts.values())
        assert canary + old == 1000
        assert 120 < canary < 280  # six standard deviations


# --- On one connection ----------------------------------------------------------------------------


@pytest.fixture
def connection(redis: Redis) -> Iterator[Connection]:
    register("alpha")
    with webserver.serving() as server:
        connection = Connection(server.port)
        yield connection
        connection.close()


def test_answers_pipelined_requests_in_order(connection: Connection) -> None:
    beat = request("POST", "/api/v1/services/alpha/heartbeat", headers={"X-Request-ID": "1"})
    look = request("GET", "/api/v1/services/alpha", headers={"X-Request-ID": "2"})
    slow = request("GET", "/api/v1/services/alpha/instances", headers={"X-Request-ID": "3"})
    again = request("GET", "/api/v1/services", headers={"X-Request-ID": "4"})

    connection.send(beat + look + slow + again + beat)

    ids = [_id_of(connection.read()) for _ in range(5)]
    assert ids == ["1", "2", "3", "4", "1"]


def test_reads_the_next_request_after_the_answer_that_redis_is_asked_for(
    connection: Connection,
) -> None:
    for _ in range(200):
        connection.send(
            request("POST", "/api/v1/services/alpha/heartbeat", headers={"X-Request-ID": "1"})
        )
        connection.send(request("GET", "/api/v1/services/alpha", headers={"X-Request-ID": "2"}))
        ids = [_id_of(connection.read()) for _ in range(2)]

        assert ids == ["1", "2"]


def test_takes_a_body_that_comes_in_pieces(connection: Connection) -> None:
    raw = request("POST", "/api/v1/services/heartbeat", body=b'{"services": ["alpha"]}')
    connection.send(raw[:-10])
    time.sleep(0.05)
    connection.send(raw[-10:])

    assert b'{"refreshed":1,"ttl":3600,"missing":[]}' in connection.read()


def test_leaves_a_body_that_does_not_come_to_the_server(connection: Connection) -> None:
    raw = request("POST", "/api/v1/services/heartbeat", body=b'{"services": ["alpha"]}')
    connection.send(raw[:-10])
    time.sleep(0.7)
    connection.send(raw[-10:])

    assert b'{"refreshed":1,"ttl":3600,"missing":[]}' in connection.read()


def test_request_that_closes_the_connection_is_left_to_the_server(connection: Connection) -> None:
    connection.send(request("GET", "/api/v1/services/alpha", headers={"Connection": "close"}))

    assert connection.read().startswith(b"HTTP/1.1 200")
    assert connection.is_at_end()


def _id_of(answer: bytes) -> str:
    match = re.search(rb"x-request-id: (\S+)\r\n", answer)
    assert match, answer
    return match[1].decode()


# --- Newcomers ------------------------------------------------------------------------------------


def test_many_new_services_register_at_once(connection: Connection, redis: Redis) -> None:
    names = [f"new-{number}" for number in range(300)]
    bodies = [
        json.dumps({"service_name": name, "service_url": f"http://127.0.0.1:9/{name}"}).encode()
        for name in names
    ]
    others = [connection.twin() for _ in range(29)]
    for start in range(0, 300, 30):
        for each, body in zip([connection, *others], bodies[start : start + 30], strict=True):
            each.send(request("POST", "/api/v1/services/register", body=body))
        for each in (connection, *others):
            assert each.read().startswith(b"HTTP/1.1 200")
    for each in others:
        each.close()

    listed = json.loads(
        connection.ask(request("GET", "/api/v1/services")).partition(b"\r\n\r\n")[2]
    )
    assert {row["service_name"] for row in listed["services"]} == {"alpha", *names}
    assert Event.objects.filter(type="service.registered").count() == 301
    assert Instance.objects.live().count() == 301


def test_one_of_two_new_services_with_the_same_name_is_first(connection: Connection) -> None:
    twin = connection.twin()
    for number in range(50):
        for each, instance_id in ((connection, "one"), (twin, "two")):
            document = {
                "service_name": f"new-{number}",
                "service_url": "http://127.0.0.1:9/",
                "instance_id": instance_id,
            }
            body = json.dumps(document).encode()
            each.send(request("POST", "/api/v1/services/register", body=body))
        answers = [json.loads(each.read().partition(b"\r\n\r\n")[2]) for each in (connection, twin)]

        assert answers[0]["service_id"] == answers[1]["service_id"]
    twin.close()

    assert Service.objects.count() == 51
    assert Instance.objects.live().count() == 101


# --- Tokens ---------------------------------------------------------------------------------------


def test_revoked_token_is_rejected_while_requests_go_on(services: list[str]) -> None:
    with webserver.serving(SAGA_AUTH="required", SAGA_RATE_LIMIT="100000") as server:
        connection = Connection(server.port)
        raw = request(
            "GET", "/api/v1/services/alpha", headers={"Authorization": f"Bearer {services[0]}"}
        )
        waiting.until(
            lambda: connection.ask(raw) and fast_path_hits(server, token=services[1])["lookup"] > 0
        )
        for _ in range(20):
            assert connection.ask(raw).startswith(b"HTTP/1.1 200")
        accounts.revoke_token(
            Token.objects.get(prefix=services[0][:12]), at=dt.datetime.now(dt.UTC)
        )
        # Requests go on until one is rejected: they do not keep the token good. More requests
        # in that time would be throttled as guesses.
        waiting.until(lambda: connection.ask(raw).startswith(b"HTTP/1.1 401"), pause_seconds=0.02)

        assert connection.ask(raw).startswith(b"HTTP/1.1 401")
        assert fast_path_hits(server, token=services[1])["lookup"] >= 19
        connection.close()


def test_caller_above_the_rate_limit_is_rejected(services: list[str]) -> None:
    with webserver.serving(SAGA_AUTH="required", SAGA_RATE_LIMIT="5") as server:
        connection = Connection(server.port)
        raw = request(
            "GET", "/api/v1/services/alpha", headers={"Authorization": f"Bearer {services[0]}"}
        )
        answers = [connection.ask(raw)[:12] for _ in range(50)]
        # On a busy machine more are allowed meanwhile, five for each second.
        waiting.until(lambda: connection.ask(raw).startswith(b"HTTP/1.1 429"), pause_seconds=0)
        connection.close()

    assert answers == [b"HTTP/1.1 200"] * 50


# --- Without Redis --------------------------------------------------------------------------------


def test_outage_of_redis_is_reported_and_ends_with_it(redis: Redis) -> None:
    register("alpha")
    address = urlsplit(settings.REDIS_URL)
    proxy = FaultProxy(address.hostname or "127.0.0.1", address.port or 6379)
    beat = request("POST", "/api/v1/services/alpha/heartbeat")
    with proxy.running():
        url = address._replace(netloc=f"{address.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}")
        with webserver.serving(REDIS_URL=url.geturl()) as server:
            connection = Connection(server.port)
            waiting.until(lambda: connection.ask(beat) and fast_path_hits(server)["heartbeat"] > 0)
            proxy.freeze()
            refused = connection.ask(beat)
            proxy.thaw()
            waiting.until(lambda: connection.ask(beat).startswith(b"HTTP/1.1 200"))
            connection.close()
            counted = fast_path_hits(server, status=503)

    assert refused.startswith(b"HTTP/1.1 503")
    assert b'{"error":"Redis is not available"' in refused
    assert counted["heartbeat"] >= 1
