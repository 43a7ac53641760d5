"""Webhooks at full size against a stack as ``make run`` starts it: what is lost, what comes twice.

    python -m bench.webhooks [reference] [inbound] [deliveries] [backlog] [slow]

Each part starts from an empty stack, records a history and checks it afterwards, as Jepsen does it: a call
without an answer is unknown, not failed, and is sent again. Exit status 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench import webhook_examples
from tests import stack as stacks

CLIENTS = 16
_TIME = re.compile(r"\d{10}\"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Broken(Exception):
    """A promise was not kept."""


def check(is_kept: bool, text: str) -> None:
    print(f"  {'kept  ' if is_kept else 'BROKEN'} {text}")
    if not is_kept:
        raise Broken(text)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Receiver:
    """A receiver on loopback; ``answer`` says with which status, or sleeps."""

    def __init__(self, answer: Callable[[str, str], int]) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.bodies: dict[str, Any] = {}
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                message_id = self.headers.get("webhook-id", "")
                with lock:
                    outer.arrivals[message_id].append(time.time())
                    outer.bodies[message_id] = json.loads(raw)
                self.send_response(answer(self.path, message_id))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = (
                128  # the default of five drops connections, which costs a second each
            )

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def register(stack: stacks.Stack, name: str, **fields: str) -> None:
    body = {"service_name": name, "service_url": "http://localhost:8001", "ttl": 3600, **fields}
    status, answer = stack.call("POST", "/api/v1/services/register", body)
    if status != 200:
        raise Broken(f"registering answered {status} {answer}")


def subscribe(stack: stacks.Stack, name: str, url: str, *topics: str) -> None:
    body = {
        "service_name": name,
        "subscriber": "bench",
        "callback_url": url,
        "topics": list(topics),
    }
    status, answer = stack.call("POST", "/api/v1/subscriptions", body)
    if status != 201:
        raise Broken(f"subscribing answered {status} {answer}")


def warm_up(stack: stacks.Stack) -> None:
    """Wait until the worker, which starts after the web processes, has delivered something."""
    receiver = Receiver(lambda _path, _id: 200)
    register(stack, "warm-up")
    subscribe(stack, "warm-up", receiver.url())
    send(stack, "lifecycle", {"service_name": "warm-up", "event": "started"})
    while not receiver.arrivals:
        time.sleep(0.05)
    receiver.close()


def send(stack: stacks.Stack, route: str, body: Any, message_id: str | None = None) -> int:
    """Send until an answer arrives; an unanswered call may have acted, so the id stays the same."""
    headers = {"webhook-id": message_id} if message_id else {}
    for _ in range(200):
        status, _ = stack.call(
            "POST", f"/api/v1/webhooks/{route}", body, headers=headers, timeout=30
        )
        if status not in (0, 500, 503):
            return status
        time.sleep(0.1)
    return 0


def rows(stack: stacks.Stack, code: str) -> Any:
    return json.loads(stack.manage("shell", "-v", "0", "-c", f"import json; {code}"))


class Killer:
    """Kills processes of a stack with -9 whenever enough has happened since the last time.

    By progress and not by the clock: a process that is killed before it is up shows nothing.
    """

    def __init__(
        self, stack: stacks.Stack, *words: str, progress: Callable[[], int], every: int
    ) -> None:
        self.count = 0
        self.is_over = threading.Event()

        def kill() -> None:
            mark = every
            while not self.is_over.wait(0.05):
                if progress() >= mark:
                    self.count += bool(stack.kill(*words))
                    mark = progress() + every

        self.thread = threading.Thread(target=kill, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        self.is_over.set()
        self.thread.join()
        return self.count


# --- Parts ----------------------------------------------------------------------------------------


def reference(stack: stacks.Stack) -> None:
    """The reference document's examples, sent as printed by curl: answered as printed, but for the time."""
    register(stack, "payment-service", version="1.2.3")
    receiver = Receiver(lambda _path, _id: 200)
    name = {"service_name": "payment-service"}
    send(stack, "config", {**name, "endpoints": {"slack": receiver.url()}})
    for route, body in webhook_examples.CALLS:
        if route == "rollback":  # once there is a release of that version, and no deployment runs
            url = receiver.url("/1.2.3")
            send(stack, "update", {**name, "version": "1.2.3", "artifact_url": url})
            _until_no_job_runs(stack)
        _compare(stack, route, "-X", "POST", "-d", json.dumps(body))
    _compare(stack, "config?service_name=payment-service")
    receiver.close()


def _compare(stack: stacks.Stack, route: str, *options: str) -> None:
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "-w", "\n%{http_code}"]
    command += ["-H", "Content-Type: application/json", *options]
    command += [f"http://localhost:{stack.port}/api/v1/webhooks/{route}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer, _, status = done.stdout.rpartition("\n")
    is_kept = (int(status), _timeless(json.loads(answer))) == (
        webhook_examples.ANSWERS[route][0],
        _timeless(webhook_examples.ANSWERS[route][1]),
    )
    check(is_kept, f"{route}: {status} {answer}")


def _timeless(document: Any) -> str:
    return _TIME.sub("time", json.dumps(document, sort_keys=True))


def _until_no_job_runs(stack: stacks.Stack) -> None:
    for _ in range(600):
        _, body = stack.call("GET", "/api/v1/updates/jobs?service=payment-service")
        if all(job["finished_at"] for job in body["jobs"]):
            return
        time.sleep(0.1)


def inbound(stack: stacks.Stack, *, total: int = 10_000, duplicates: float = 0.2) -> None:
    """Calls with duplicates while web and worker processes are killed: each effect exactly once."""
    register(stack, "payment-service")
    unique = int(total * (1 - duplicates))
    numbers = [*range(unique), *random.choices(range(unique), k=total - unique)]  # noqa: S311
    random.shuffle(numbers)
    answered: list[int] = []
    killers = [
        Killer(stack, "uvicorn", progress=lambda: len(answered), every=1000),
        Killer(stack, "celery", "worker@", progress=lambda: len(answered), every=1700),
    ]

    def one(number: int) -> tuple[int, int]:
        body = {"service_name": "payment-service", "event": "crashed", "details": {"n": number}}
        status = send(stack, "lifecycle", body, f"msg_{number}")
        answered.append(number)
        return number, status

    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = Counter(status for _, status in pool.map(one, numbers))
    seconds = time.monotonic() - began
    kills = [killer.stop() for killer in killers]
    effects = Counter(
        rows(
            stack,
            "from registry.models import Event; print(json.dumps([e['details']['n'] for e in"
            " Event.objects.filter(type='lifecycle.crashed').values_list('data', flat=True)]))",
        )
    )
    print(
        f"  {total} calls in {seconds:.0f} s ({total / seconds:.0f}/s), web processes killed"
        f" {kills[0]} times, the worker {kills[1]} times; answers {dict(statuses)}"
    )
    check(statuses == {200: total}, "every call was answered 200 in the end")
    check(set(effects) == set(range(unique)), f"all {unique} effects are there")
    check(set(effects.values()) == {1}, "each exactly once")


def deliveries(stack: stacks.Stack, *, total: int = 1_000) -> None:
    """Deliveries to a receiver that fails at random, with workers killed: none lost, twice only by id."""
    seen: Counter[str] = Counter()
    taken: set[str] = set()

    def moody(_: str, message_id: str) -> int:
        seen[message_id] += 1
        if random.random() < 0.3:  # noqa: S311
            return random.choice([408, 429, 500, 503])  # noqa: S311
        taken.add(message_id)
        return 200

    receiver = Receiver(moody)
    register(stack, "payment-service")
    subscribe(stack, "payment-service", receiver.url(), "lifecycle.*")
    killer = Killer(stack, "celery", "worker@", progress=lambda: len(taken), every=200)
    began = time.monotonic()

    def one(number: int) -> int:
        body = {"service_name": "payment-service", "event": "crashed", "details": {"n": number}}
        return send(stack, "lifecycle", body, f"msg_{number}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(total)))
    left = _settle(stack, until=time.monotonic() + 600)
    seconds, kills = time.monotonic() - began, killer.stop()
    told = Counter(body["data"]["details"]["n"] for body in receiver.bodies.values())
    repeated = sum(count - 1 for count in seen.values())
    print(
        f"  {total} deliveries in {seconds:.0f} s, {kills} kills of the worker, {repeated} sent again"
    )
    check(left == 0, "no delivery is left over")
    check(set(told) == set(range(total)), f"all {total} were told")
    check(set(told.values()) == {1}, "each under one message id")
    check(len(taken) == total, "the receiver took every one of them")
    receiver.close()


def _settle(stack: stacks.Stack, *, until: float) -> int:
    """Wait until nothing is left; waits of the schedule are cut short, as if time had passed."""
    code = (
        "from webhooks.models import Delivery as D; from django.utils import timezone as t;"
        " D.objects.filter(status='pending').update(next_attempt_at=t.now());"
        " print(json.dumps(D.objects.exclude(status='delivered').count()))"
    )
    left = 1
    while left and time.monotonic() < until:
        time.sleep(1)
        left = int(rows(stack, code))
    return left


def backlog(stack: stacks.Stack, *, total: int = 1_000) -> None:
    """A queue that waits for one fast receiver, emptied by one worker."""
    receiver = Receiver(lambda _path, _id: 200)
    code = (
        "from django.db import transaction; from tests.factories import DeliveryFactory as F;"
        f" transaction.atomic(F.create_batch)({total}, url='{receiver.url()}');"
        f" print(json.dumps({total}))"
    )
    rows(stack, code)
    began = time.monotonic()
    while len(receiver.arrivals) < total and time.monotonic() - began < 120:
        time.sleep(0.02)
    first = min(times[0] for times in receiver.arrivals.values())
    last = max(times[-1] for times in receiver.arrivals.values())
    print(f"  {total} deliveries within {last - first:.1f} s")
    check(len(receiver.arrivals) == total, "all arrived")
    check(last - first <= 10, "within 10 s")
    receiver.close()


def slow(stack: stacks.Stack, *, receivers: int = 20, rounds: int = 50) -> None:
    """One dead receiver among many: how long the others' deliveries take from event to receiver."""
    is_over = threading.Event()

    def answer(path: str, _: str) -> int:
        if path == "/0":
            is_over.wait(30)
        return 200

    receiver = Receiver(answer)
    for number in range(receivers):
        register(stack, f"service-{number}")
        subscribe(stack, f"service-{number}", receiver.url(f"/{number}"), "lifecycle.*")
    sent: dict[tuple[str, int], float] = {}
    for turn in range(rounds):
        for number in range(receivers):
            body = {
                "service_name": f"service-{number}",
                "event": "crashed",
                "details": {"n": turn},
            }
            send(stack, "lifecycle", body)
            sent[f"service-{number}", turn] = time.time()
        time.sleep(0.2)
    time.sleep(3)
    waits = [
        max(0.0, receiver.arrivals[message_id][0] - sent[name, body["data"]["details"]["n"]])
        for message_id, body in receiver.bodies.items()
        if (name := body["data"]["service_name"]) != "service-0"
    ]
    is_over.set()
    p50, p95 = statistics.median(waits), percentile(waits, 0.95)
    print(
        f"  {len(waits)} deliveries to the {receivers - 1} others: median {p50:.3f} s, p95 {p95:.3f} s"
    )
    check(len(waits) == (receivers - 1) * rounds, "all of theirs arrived")
    check(p95 < 1, "95 % within a second")
    receiver.close()


PARTS = {
    "reference": reference,
    "inbound": inbound,
    "deliveries": deliveries,
    "backlog": backlog,
    "slow": slow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="All of them by default.")
    chosen = parser.parse_args().parts or list(PARTS)
    has_failed = False
    for name in chosen:
        part = PARTS[name]
        print(f"{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
        try:
            with stacks.running() as stack:
                warm_up(stack)
                part(stack)
        except Broken as exc:
            has_failed = True
            print(f"  {exc}")
    sys.exit(1 if has_failed else 0)


if __name__ == "__main__":
    main()
