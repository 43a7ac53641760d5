"""Clients that record every call while faults are injected, and the promises that their history must keep.

As Jepsen does it: a call without an answer is unknown, not failed. It is repeated with the same
``Idempotency-Key`` until it is answered, and must then have acted once.
"""

from __future__ import annotations

import re
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from tests import waiting

LIVING = 50
TTL_SECONDS = 12
REPORTED = "reported"
#: 0 is no answer; 409 is a key whose first call is still under way.
EXPECTED = frozenset({0, 200, 201, 409, 503})
PAUSE_SECONDS = 0.1
RETRY_SECONDS = 0.3
#: How long the last deliveries and expiries may take after the last fault.
DELIVERED_WITHIN_SECONDS = 240.0
EXPIRED_WITHIN_SECONDS = 180.0


class Server(Protocol):
    """What the clients call: a stack on this machine, or several hosts behind a load balancer."""

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON of one answer; status 0 where there was none."""


class Receiver:
    """A subscriber that counts how often it received each report."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.received: Counter[int] = Counter()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                receiver.received.update(
                    int(number) for number in re.findall(r'"number": ?(\d+)', text)
                )
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class History:
    """The clients of a campaign and what they saw.

    ``ttl_seconds`` must be longer than no call reaches Saga while Saga itself is well: it cannot tell that
    from services that died, and expires them.
    """

    stack: Server
    receiver: Receiver
    ttl_seconds: int = TTL_SECONDS
    violations: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: set[int] = field(default_factory=set)
    dying: list[str] = field(default_factory=list)
    _cursor: str = ""
    _is_over: threading.Event = field(default_factory=threading.Event)
    _is_quiet: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def living(self) -> list[str]:
        return [f"living-{number:02}" for number in range(LIVING)]

    def note_violation(self, violation: str) -> None:
        """Keep a broken promise; it is printed at once, among the faults."""
        if violation not in self.violations:
            print(f"     VIOLATION {violation}", flush=True)
            self.violations.append(violation)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        status, answer = self.stack.call(method, f"/api/v1/{path}", body, **options)
        self.statuses[status] += 1
        return status, answer

    def insist(self, method: str, path: str, body: Any = None) -> Any:
        """Repeat a call until it succeeds; return its answer."""

        def succeed() -> list[Any]:
            status, answer = self.call(method, path, body)
            return [answer] if status in (200, 201) else []

        return waiting.until(succeed, seconds=120, pause_seconds=RETRY_SECONDS)[0]

    def register(self, name: str, *, ttl: int | None = None) -> None:
        seconds = ttl or self.ttl_seconds
        body = {"service_name": name, "service_url": "http://127.0.0.1:9", "ttl": seconds}
        self.insist("POST", "services/register", body)

    def begin(self) -> None:
        for name in self.living:
            self.register(name)
        self.register(REPORTED, ttl=3600)
        subscription = {
            "service_name": REPORTED,
            "subscriber": "campaign",
            "callback_url": self.receiver.url,
            "topics": ["lifecycle.*"],
        }
        self.insist("POST", "subscriptions", subscription)
        self._cursor = self.insist("GET", "events?limit=1")["cursor"]
        acts = {
            self._send_heartbeats: self._is_over,
            self._look_up: self._is_over,
            self._report: self._is_quiet,
        }
        for act, is_over in acts.items():
            thread = threading.Thread(target=self._repeat, args=(act, is_over), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, act: Callable[[int], None], is_over: threading.Event) -> None:
        number = 0
        while not is_over.wait(PAUSE_SECONDS):
            number += 1
            act(number)

    # --- The clients ------------------------------------------------------------------------------

    def _send_heartbeats(self, number: int) -> None:
        status, answer = self.call("POST", "services/heartbeat", {"services": self.living})
        if status == 200 and answer["missing"]:
            self.note_violation(f"heartbeats of living services refused: {answer['missing']}")

    def _look_up(self, number: int) -> None:
        name = self.living[number % LIVING]
        status, _ = self.call("GET", f"services/{name}")
        if status not in (0, 200, 503):
            self.note_violation(f"lookup of {name} answered {status}")

    def _report(self, number: int) -> None:
        """Report once, with one key, until it is acknowledged."""
        details = {"number": number}
        body = {"service_name": REPORTED, "event": "restarting", "details": details}
        headers = {"Idempotency-Key": f"report-{number}"}
        while not self._is_quiet.is_set():
            status, _ = self.call("POST", "webhooks/lifecycle", body, headers=headers)
            if status == 200:
                self.acknowledged.add(number)
                return
            self._is_quiet.wait(RETRY_SECONDS)

    # --- The promises -----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return every violation, once no report is on its way; heartbeats go on until ``end``."""
        self._is_quiet.set()
        self._threads[-1].join()
        found = [*self._effects(), *self._expiries(), *self.violations]
        unexpected = sorted(set(self.statuses) - EXPECTED)
        return [*found, *(f"a call was answered {status}" for status in unexpected)]

    def _events(self, kind: str) -> Iterator[dict[str, Any]]:
        cursor = self._cursor
        while True:
            page = self.insist("GET", f"events?type={kind}&limit=1000&after={cursor}")
            if not page["events"]:
                return
            yield from page["events"]
            cursor = page["cursor"]

    def _effects(self) -> Iterator[str]:
        """A report acts once, none that was acknowledged is lost, and the subscriber receives each."""
        made = Counter(
            event["data"]["details"]["number"] for event in self._events("lifecycle.restarting")
        )
        yield from (f"report {number} acted {n} times" for number, n in made.items() if n > 1)
        if lost := sorted(self.acknowledged - set(made)):
            yield f"acknowledged reports are lost: {lost[:5]}"
        try:
            waiting.until(
                lambda: set(made) <= set(self.receiver.received), seconds=DELIVERED_WITHIN_SECONDS
            )
        except AssertionError:
            missing = sorted(set(made) - set(self.receiver.received))
            yield f"{len(missing)} of {len(made)} events were not delivered: {missing[:5]}"

    def _expiries(self) -> Iterator[str]:
        """The dead expire, and no living service does."""
        dying, living = set(self.dying), set(self.living)

        def expired() -> set[str]:
            return {event["service_name"] for event in self._events("service.expired")}

        try:
            waiting.until(
                lambda: dying <= expired(), seconds=EXPIRED_WITHIN_SECONDS, pause_seconds=1
            )
        except AssertionError:
            yield f"dead services never expired: {sorted(dying - expired())}"
        if alive := sorted(expired() & living):
            yield f"living services expired: {alive}"


def report(
    seconds: Mapping[str, list[float]], history: History, found: list[str], *, seed: int
) -> None:
    """Print recovery times by fault, and every violation."""
    print(f"\n{'fault':24} {'times':>5} {'median':>8} {'slowest':>8}")
    for name, measured in sorted(seconds.items()):
        median, slowest = statistics.median(measured), max(measured)
        print(f"{name:24} {len(measured):5} {median:6.1f} s {slowest:6.1f} s")
    count = sum(map(len, seconds.values()))
    print(f"seed {seed}: {count} faults, {len(found)} violations")
    print(f"{sum(history.statuses.values())} calls by status: {dict(history.statuses)}")
    for violation in found:
        print(f"VIOLATION {violation}")
