"""The servers that ``make bench`` compares, filled with the same services."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import redis as redis_library

from bench import calls, servers
from bench.calls import Call
from bench.servers import Bench, Server

SERVICES = 1000


@dataclass(frozen=True)
class Contestant:
    server: Server
    calls: dict[str, Call]


class WrongAnswer(SystemExit):
    """A server that answers something else is not compared."""


def _run_here(server: Server, *words: str, root: Path = servers.ROOT) -> str:
    """Return what a program of ours prints that works on the data of a Saga."""
    return subprocess.run(
        [sys.executable, *words],
        check=True,
        cwd=root,
        env={**os.environ, **server.environment},
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def fill(server: Server, count: int, *, root: Path = servers.ROOT) -> None:
    """Register this many services, by the program of the code that serves them."""
    print(_run_here(server, "-m", "bench.fill", str(count), root=root), flush=True)


def earlier(bench: Bench, commit: str) -> dict[str, Contestant]:
    """Start and fill the Saga of an earlier commit."""
    server, root = bench.saga_of(commit)
    fill(server, SERVICES, root=root)
    return {"before": Contestant(server, calls.saga())}


def others(bench: Bench) -> dict[str, Contestant]:
    """Start and fill the other servers that are installed."""
    required = bench.saga("required", SAGA_AUTH="required", SAGA_RATE_LIMIT="10000000")
    scopes = "services:read,registry:manage,admin:registry"
    token = _run_here(required, "manage.py", "create_token", "bench", "--scopes", scopes)
    fill(required, SERVICES)
    found = {
        "required": Contestant(required, calls.saga(headers=[f"Authorization: Bearer {token}"])),
    }
    if (peer := bench.etcd()) is not None:
        leases = [_lease(peer.port) for _ in range(SERVICES)]
        _replay(peer, calls.etcd(leases)["register again"].make(SERVICES))
        found["etcd"] = Contestant(peer, calls.etcd(leases))
    if (peer := bench.webdis()) is not None:
        port = json.loads((bench.folder / "webdis.json").read_text())["redis_port"]
        _fill_redis(port, calls.name)
        found["webdis"] = Contestant(peer, calls.webdis())
    if (peer := bench.redis()) is not None:
        _fill_redis(peer.port, lambda number: f"service-{number:012d}")
        found["redis"] = Contestant(peer, calls.redis())
    if (peer := bench.fastapi()) is not None:
        _replay(peer, calls.saga()["register again"].make(SERVICES))
        found["fastapi"] = Contestant(peer, calls.saga())
    plain = bench.saga("plain", SAGA_FAST_PATH="false")
    fill(plain, SERVICES)
    found["plain views"] = Contestant(plain, calls.saga())
    for name in {"fastapi", "etcd", "webdis", "redis"} - found.keys():
        print(f"{name} is not installed and not measured.")
    return found


def _lease(port: int) -> str:
    body = json.dumps({"TTL": calls.TTL_SECONDS}).encode()
    with urlopen(Request(f"http://127.0.0.1:{port}/v3/lease/grant", data=body)) as answer:
        return str(json.load(answer)["ID"])


def _fill_redis(port: int, name: Callable[[int], str]) -> None:
    with redis_library.Redis(port=port) as client:
        for number in range(SERVICES):
            client.set(name(number), json.dumps(calls.document(number)), ex=calls.TTL_SECONDS)


def _replay(server: Server, requests: Iterable[bytes]) -> None:
    for each in requests:
        ask(server.port, each)


def ask(port: int, request: bytes) -> bytes:
    """Return the whole answer to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
        return answer
