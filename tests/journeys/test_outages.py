"""Every process is killed with -9, one after the other, under a client that goes on.

As Jepsen does it: each request is recorded with its times and its result; a request without an answer is
unknown, not failed. The invariants are checked on the recorded history afterwards.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import stack as stacks
from tests import waiting

LIVING, DYING, BATCH = 200, 10, 50
TTL_SECONDS = 12
KILLS = {
    "every web process": ["uvicorn"],
    "the worker": ["celery", "worker@"],
    "the sweeper": ["saga_project sweep"],
    "the deliverer": ["celery", "delivery@"],
    "beat": ["celery", "beat"],
    "Redis": ["valkey-server"],
    "PostgreSQL": ["postgres"],
}


@dataclass(frozen=True)
class Call:
    kind: str
    began: float
    ended: float
    status: int
    wrong: tuple[str, ...] = ()


@dataclass
class Client:
    """Sends heartbeats for living services and looks them up until it is stopped."""

    stack: stacks.Stack
    names: list[str] = field(default_factory=list)
    history: list[Call] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def record(self, kind: str, status: int, began: float, wrong: tuple[str, ...] = ()) -> None:
        self.history.append(Call(kind, began, time.monotonic(), status, wrong))

    def beat(self) -> None:
        while not self.is_over.wait(0.5):
            names = list(self.names)
            for start in range(0, len(names), BATCH):
                began = time.monotonic()
                status, body = self.stack.call(
                    "POST", "/api/v1/services/heartbeat", {"services": names[start : start + BATCH]}
                )
                missing = tuple(body["missing"]) if status == 200 else ()
                self.record("beat", status, began, missing)

    def look_up(self) -> None:
        number = 0
        while not self.is_over.wait(0.02):
            if not self.names:
                continue
            number += 7
            name = self.names[number % len(self.names)]
            began = time.monotonic()
            status, _ = self.stack.call("GET", f"/api/v1/services/{name}")
            self.record("lookup", status, began, (name,) if status in (400, 404) else ())

    def longest_silence(self, kind: str, since: float, until: float) -> float:
        """Return the longest time in seconds without one good answer of a kind."""
        good = [
            call.ended
            for call in self.history
            if call.kind == kind and call.status == 200 and since <= call.ended <= until
        ]
        moments = [since, *good, until]
        return max(later - sooner for sooner, later in itertools.pairwise(moments))


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.running() as running:
        yield running


def register(stack: stacks.Stack, name: str) -> None:
    registration = {"service_name": name, "service_url": "http://127.0.0.1:9", "ttl": TTL_SECONDS}
    # Each web process recovers by itself from the outage before.
    waiting.until(lambda: stack.call("POST", "/api/v1/services/register", registration)[0] == 200)


def listed(stack: stacks.Stack) -> set[str]:
    status, body = stack.call("GET", "/api/v1/services")
    return {row["service_name"] for row in body["services"]} if status == 200 else set()


def is_whole(stack: stacks.Stack) -> bool:
    """Everything answers, and a sweep ran a moment ago."""
    status, body = stack.call("GET", "/api/v1/health")
    return status == 200 and 0 <= (body["protection"]["sweep_lag_seconds"] or -1) < 3


def kill_and_recover(stack: stacks.Stack, client: Client, words: list[str]) -> dict[str, float]:
    began = time.monotonic()
    assert stack.kill(*words) > 0
    waiting.until(lambda: is_whole(stack), seconds=60)
    recovered = time.monotonic()
    return {
        "recovered": recovered - began,
        "beat": client.longest_silence("beat", began, recovered + 1),
        "lookup": client.longest_silence("lookup", began, recovered + 1),
    }


def test_no_outage_loses_a_live_service_or_keeps_a_dead_one(stack, capsys):
    names = {f"living-{number:03}" for number in range(LIVING)}
    client = Client(stack)
    threads = [threading.Thread(target=client.beat), threading.Thread(target=client.look_up)]
    for thread in threads:
        thread.start()

    try:
        for name in sorted(names):
            register(stack, name)
            client.names.append(name)
        for number in range(DYING):
            register(stack, f"dying-{number}")
        costs = {what: kill_and_recover(stack, client, words) for what, words in KILLS.items()}
        waiting.until(lambda: listed(stack) - {"steady"} == names, seconds=90)
        waiting.until(lambda: len(expired_services(stack)) >= DYING, seconds=30)
    finally:
        client.is_over.set()
        for thread in threads:
            thread.join()

    with capsys.disabled():
        for what, cost in costs.items():
            print(
                f"\n  {what} killed: whole again after {cost['recovered']:.1f} s; longest time without"
                f" a heartbeat taken {cost['beat']:.1f} s, without a lookup answered {cost['lookup']:.1f} s",
                end="",
            )
    assert {call.wrong for call in client.history if call.wrong} == set()
    expired = [name for name in expired_services(stack) if name != "steady"]
    assert {name for name in expired if name.startswith("living")} == set()
    assert sorted(expired) == sorted(f"dying-{number}" for number in range(DYING))


NEEDS_REDIS = [
    ("GET", "/api/v1/services", None),
    ("GET", "/api/v1/services/steady", None),
    ("GET", "/api/v1/services/nobody", None),
    ("POST", "/api/v1/services/steady/heartbeat", None),
    ("POST", "/api/v1/services/heartbeat", {"services": ["steady"]}),
    ("POST", "/api/v1/services/register", {"service_name": "s", "service_url": "http://h"}),
]


def first_without_redis(stack: stacks.Stack, *request: Any) -> tuple[int, Any]:
    """Return the first answer that comes of no memory: each web process notices a silence for itself.

    One that hangs for longer than any of ours may has status 0.
    """
    answers = (stack.call(*request, timeout=1.5) for _ in itertools.count())
    return waiting.until(
        lambda: [answer for answer in [next(answers)] if answer[0] not in (200, 404)]
    )[0]


def test_a_frozen_redis_is_reported_as_documented_and_recovered_from(stack):
    register(stack, "steady")
    [redis] = stack.processes("valkey-server")

    redis.suspend()
    try:
        answers = [first_without_redis(stack, *request) for request in NEEDS_REDIS]
    finally:
        redis.resume()

    assert [(status, body["error"]) for status, body in answers] == [
        (503, "Redis is not available")
    ] * len(NEEDS_REDIS)
    waiting.until(lambda: stack.call("GET", "/api/v1/services/steady")[0] == 200)
    waiting.until(lambda: stack.call("POST", "/api/v1/services/steady/heartbeat")[0] == 200)


def is_refused_for_want_of_postgresql(stack: stacks.Stack, path: str) -> bool:
    status, body = stack.call("GET", path, timeout=10)
    return status == 503 and body["error"] == "Database is not available"


def is_found_and_beats(stack: stacks.Stack, name: str, *, times: int) -> bool:
    """So many times in a row, so that every web process is asked."""
    path = f"/api/v1/services/{name}"
    return all(
        stack.call(method, path + tail)[0] == 200
        for _ in range(times)
        for method, tail in (("GET", ""), ("POST", "/heartbeat"))
    )


def test_without_postgresql_known_services_are_found_and_renewed(stack):
    register(stack, "steady")
    [postgresql] = stack.processes("postgres")
    launcher = stack.launcher
    launcher.send_signal(signal.SIGSTOP)  # or PostgreSQL is back before we looked
    try:
        postgresql.kill()
        waiting.until(lambda: is_refused_for_want_of_postgresql(stack, "/api/v1/events"))
        # Awaited: either web process may still be about to recover from Redis' outage before.
        waiting.until(lambda: is_found_and_beats(stack, "steady", times=10))
        waiting.until(lambda: is_refused_for_want_of_postgresql(stack, "/api/v1/updates/history"))
    finally:
        launcher.send_signal(signal.SIGCONT)

    waiting.until(lambda: is_whole(stack), seconds=60)


def expired_services(stack: stacks.Stack) -> list[str]:
    _, body = stack.call("GET", "/api/v1/events?type=service.expired&limit=1000")
    return [event["service_name"] for event in body["events"]]
