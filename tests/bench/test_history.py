"""The checker of fault campaigns finds each broken promise in what clients saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from bench.faults import history as histories
from tests import waiting

REPORTS = 3


class Registry:
    """Keeps every promise, unless ``break_promise`` is given the name of one."""

    def __init__(self, receiver: histories.Receiver) -> None:
        self._receiver = receiver
        self._reports: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.broken = ""

    def break_promise(self, name: str) -> None:
        self.broken = name

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        if path.endswith("/heartbeat"):
            is_refusing = self.broken == "heartbeat"
            return 200, {"missing": ["living-00"] if is_refusing else []}
        if path.endswith("/lifecycle"):
            return self._report(body["details"]["number"])
        if "/events" in path:
            return self._page(path)
        if "/services/living" in path and self.broken == "lookup":
            return 404, {}
        return (500 if self.broken == "error" and method == "GET" else 200), {}

    def _report(self, number: int) -> tuple[int, Any]:
        self._reports.append(number)
        times = {"once": 2, "kept": 0}.get(self.broken, 1)
        for _ in range(times):
            event = {"type": "lifecycle.restarting", "data": {"details": {"number": number}}}
            self.events.append(event)
        if self.broken != "delivered":
            self._receiver.received[number] += 1
        return 200, {}

    def _page(self, path: str) -> tuple[int, Any]:
        _, _, cursor = path.partition("after=")
        kind = path.partition("type=")[2].partition("&")[0]
        found = [event for event in self.events if event["type"] == kind] if cursor == "0" else []
        return 200, {"events": found, "cursor": "1" if cursor else "0"}

    def expire(self, name: str) -> None:
        self.events.append({"type": "service.expired", "service_name": name, "data": {}})


@pytest.fixture
def receiver() -> Iterator[histories.Receiver]:
    with closing(histories.Receiver()) as receiver:
        yield receiver


@pytest.fixture
def registry(receiver: histories.Receiver) -> Registry:
    return Registry(receiver)


@pytest.fixture
def check(
    registry: Registry, receiver: histories.Receiver, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    """Run the clients for a while, with a service that dies, and return the violations."""
    monkeypatch.setattr(histories, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(histories, "DELIVERED_WITHIN_SECONDS", 0.2)
    monkeypatch.setattr(histories, "EXPIRED_WITHIN_SECONDS", 0.2)

    def run() -> list[str]:
        history = histories.History(registry, receiver)
        history.begin()
        history.dying.append("dying-1")
        waiting.until(lambda: len(history.acknowledged) >= REPORTS)
        waiting.until(lambda: history.statuses.total() > histories.LIVING + 4 * REPORTS)
        found = history.check()
        history.end()
        return found

    return run


def test_kept_promises_are_no_violation(registry: Registry, check: Callable[[], list[str]]) -> None:
    registry.expire("dying-1")

    assert check() == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("heartbeat", "heartbeats of living services refused"),
        ("lookup", "answered 404"),
        ("once", "acted 2 times"),
        ("kept", "acknowledged reports are lost"),
        ("delivered", "were not delivered"),
        ("error", "a call was answered 500"),
    ],
)
def test_a_broken_promise_is_found(
    broken: str, words: str, registry: Registry, check: Callable[[], list[str]]
) -> None:
    registry.expire("dying-1")
    registry.break_promise(broken)

    found = check()

    assert any(words in violation for violation in found), found


def test_a_dead_service_that_stays_is_found(check: Callable[[], list[str]]) -> None:
    assert check() == ["dead services never expired: ['dying-1']"]


def test_an_expired_living_service_is_found(
    registry: Registry, check: Callable[[], list[str]]
) -> None:
    registry.expire("dying-1")
    registry.expire("living-07")

    assert check() == ["living services expired: ['living-07']"]
