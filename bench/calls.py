"""The same calls in each one's words: what a request for it looks like, and what the answer must hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bench import load

TTL_SECONDS = 3600
BULK = 1000


@dataclass(frozen=True)
class Call:
    """``make`` gives the requests for that many services; ``proof`` is in each right answer.

    ``words`` are the command for a server that speaks no HTTP.
    """

    make: Callable[[int], Iterable[bytes]]
    proof: bytes
    instances: int = 1
    words: tuple[str, ...] = ()


def name(number: int) -> str:
    return f"service-{number:06d}"


def url(number: int) -> str:
    return f"http://10.{number // 62500 % 250}.{number // 250 % 250}.{number % 250}:8000/api"


def document(number: int, *, prefix: str = "") -> dict[str, object]:
    return {
        "service_name": prefix + name(number),
        "service_url": url(number),
        "capabilities": ["rest", "graphql"],
        "version": "1.4.2",
        "ttl": TTL_SECONDS,
    }


def mixed(
    heartbeats: Iterator[bytes], lookups: Iterator[bytes], lists: Iterator[bytes]
) -> Iterator[bytes]:
    """Nine heartbeats in ten, nine lookups in a hundred, one list in a hundred."""
    for number in range(1000):
        yield (
            next(lists) if number % 100 == 50 else next(lookups if number % 11 == 0 else heartbeats)
        )


def _endless(make: Callable[[int], Iterable[bytes]], count: int) -> Iterator[bytes]:
    while True:
        yield from make(count)


def _mix_of(calls: dict[str, Call]) -> Call:
    def make(count: int) -> Iterator[bytes]:
        kinds = (_endless(calls[kind].make, count) for kind in ("heartbeat", "lookup", "list"))
        return mixed(*kinds)

    return Call(make, b"")


# --- Saga, and the FastAPI registry, which speaks the same ----------------------------------------

SERVICES = "/api/v1/services"


def saga(*, headers: list[str] | None = None, run: str = "") -> dict[str, Call]:
    """Return Saga's calls; ``run`` keeps the new names of one run apart from those of another."""
    extra = headers or []

    def ask(method: str, path: str, body: object = None) -> bytes:
        content = json.dumps(body).encode() if body is not None else b""
        return load.request(method, path, body=content, headers=extra)

    def bulk(count: int) -> Iterator[bytes]:
        for start in range(0, max(count, BULK), BULK):
            names = [name(number % count) for number in range(start, start + BULK)]
            yield ask("POST", f"{SERVICES}/heartbeat", {"services": names})

    calls = {
        "lookup": Call(
            lambda count: (ask("GET", f"{SERVICES}/{name(n)}") for n in range(count)),
            b'"service_url":"http://10.',
        ),
        "list": Call(lambda _: [ask("GET", SERVICES)], b'"total":'),
        "heartbeat": Call(
            lambda count: (ask("POST", f"{SERVICES}/{name(n)}/heartbeat") for n in range(count)),
            b'"ttl":3600',
        ),
        "bulk heartbeat": Call(bulk, b'"refreshed":1000', instances=BULK),
        "register again": Call(
            lambda count: (ask("POST", f"{SERVICES}/register", document(n)) for n in range(count)),
            b'"service_id":',
        ),
        "register new": Call(
            lambda _: (
                ask("POST", f"{SERVICES}/register", document(n, prefix=f"new-{run}-"))
                for n in range(40_000)
            ),
            b'"service_id":',
        ),
    }
    return {**calls, "mixed": _mix_of(calls)}


# --- etcd, through its HTTP gateway ---------------------------------------------------------------


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def etcd(leases: list[str], *, run: str = "") -> dict[str, Call]:
    def ask(path: str, body: object) -> bytes:
        return load.request("POST", path, body=json.dumps(body).encode())

    def put(number: int, prefix: str = "") -> bytes:
        value = json.dumps(
            {**document(number, prefix=prefix), "registered_at": "2026-01-02T03:04:05Z"}
        )
        body = {
            "key": _encoded(prefix + name(number)),
            "value": _encoded(value),
            "lease": leases[number % len(leases)],
        }
        return ask("/v3/kv/put", body)

    everything = {"key": _encoded("service-"), "range_end": _encoded("service.")}
    calls = {
        "lookup": Call(
            lambda count: (ask("/v3/kv/range", {"key": _encoded(name(n))}) for n in range(count)),
            b'"count":"1"',
        ),
        "list": Call(lambda _: [ask("/v3/kv/range", everything)], b'"count":"'),
        "heartbeat": Call(
            lambda count: (
                ask("/v3/lease/keepalive", {"ID": leases[n % len(leases)]}) for n in range(count)
            ),
            b'"TTL":"3600"',
        ),
        "register again": Call(lambda count: (put(n) for n in range(count)), b'"revision"'),
        "register new": Call(
            lambda _: (put(n, f"new-{run}-") for n in range(60_000)), b'"revision"'
        ),
    }
    return {**calls, "mixed": _mix_of(calls)}


# --- webdis: HTTP straight to Redis ---------------------------------------------------------------


def webdis() -> dict[str, Call]:
    def ask(*words: str) -> bytes:
        return load.request("GET", "/" + "/".join(words))

    calls = {
        "lookup": Call(lambda count: (ask("GET", name(n)) for n in range(count)), b"http://10."),
        "list": Call(lambda count: [ask("MGET", *(name(n) for n in range(count)))], b"http://10."),
        "heartbeat": Call(
            lambda count: (ask("EXPIRE", name(n), str(TTL_SECONDS)) for n in range(count)), b"1"
        ),
    }
    return {**calls, "mixed": _mix_of(calls)}


# --- Redis by itself, the limit -------------------------------------------------------------------


def redis() -> dict[str, Call]:
    """redis-benchmark puts twelve digits in the place of ``__rand_int__``."""
    key = "service-__rand_int__"
    commands = {"lookup": ("GET", key), "heartbeat": ("EXPIRE", key, str(TTL_SECONDS))}
    return {row: Call(lambda _: [], b"", words=words) for row, words in commands.items()}
