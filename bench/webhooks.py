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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import webhook_examples
from bench import webhook_harness as harness
from tests import stack as stacks

CLIENTS = 16
_TIME = re.compile(r"\d{10}\"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


# --- Parts ----------------------------------------------------------------------------------------


def reference(stack: stacks.Stack) -> None:
    """The reference document's examples, sent as printed by curl: answered as printed, but for the time."""
    harness.register(stack, "payment-service", version="1.2.3")
    receiver = harness.Receiver(lambda _path, _id: 200)
    name = {"service_name": "payment-service"}
    harness.send(stack, "config", {**name, "endpoints": {"slack": receiver.url()}})
    for route, body in webhook_examples.CALLS:
        if route == "rollback":  # once there is a release of that version, and no deployment runs
            url = receiver.url("/1.2.3")
            harness.send(stack, "update", {**name, "version": "1.2.3", "artifact_url": url})
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
    harness.check(is_kept, f"{route}: {status} {answer}")


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
    harness.register(stack, "payment-service")
    unique = int(total * (1 - duplicates))
    numbers = [*range(unique), *random.choices(range(unique), k=total - unique)]  # noqa: S311
    random.shuffle(numbers)
    answered: list[int] = []
    killers = [
        harness.Killer(stack, "uvicorn", progress=lambda: len(answered), every=1000),
        harness.Killer(stack, "celery", "worker@", progress=lambda: len(answered), every=1700),
    ]

    def one(number: int) -> tuple[int, int]:
        body = {"service_name": "payment-service", "event": "crashed", "details": {"n": number}}
        status = harness.send(stack, "lifecycle", body, f"msg_{number}")
        answered.append(number)
        return number, status

    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = Counter(status for _, status in pool.map(one, numbers))
    seconds = time.monotonic() - began
    kills = [killer.stop() for killer in killers]
    effects = Counter(
        harness.rows(
            stack,
            "from registry.models import Event; print(json.dumps([e['details']['n'] for e in"
            " Event.objects.filter(type='lifecycle.crashed').values_list('data', flat=True)]))",
        )
    )
    print(
        f"  {total} calls in {seconds:.0f} s ({total / seconds:.0f}/s), web processes killed"
        f" {kills[0]} times, the worker {kills[1]} times; answers {dict(statuses)}"
    )
    harness.check(statuses == {200: total}, "every call was answered 200 in the end")
    harness.check(set(effects) == set(range(unique)), f"all {unique} effects are there")
    harness.check(set(effects.values()) == {1}, "each exactly once")


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

    receiver = harness.Receiver(moody)
    harness.register(stack, "payment-service")
    harness.subscribe(stack, "payment-service", receiver.url(), "lifecycle.*")
    killer = harness.Killer(stack, "celery", "worker@", progress=lambda: len(taken), every=200)
    began = time.monotonic()

    def one(number: int) -> int:
        body = {"service_name": "payment-service", "event": "crashed", "details": {"n": number}}
        return harness.send(stack, "lifecycle", body, f"msg_{number}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(total)))
    left = _settle(stack, until=time.monotonic() + 600)
    seconds, kills = time.monotonic() - began, killer.stop()
    sent_reports = Counter(body["data"]["details"]["n"] for body in receiver.bodies.values())
    repeated = sum(count - 1 for count in seen.values())
    print(
        f"  {total} deliveries in {seconds:.0f} s, {kills} kills of the worker, {repeated} sent again"
    )
    harness.check(left == 0, "no delivery is left over")
    harness.check(set(sent_reports) == set(range(total)), f"all {total} were sent")
    harness.check(set(sent_reports.values()) == {1}, "each under one message id")
    harness.check(len(taken) == total, "the receiver took every one of them")
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
        left = int(harness.rows(stack, code))
    return left


def backlog(stack: stacks.Stack, *, total: int = 1_000) -> None:
    """A queue that waits for one fast receiver, emptied by one worker."""
    receiver = harness.Receiver(lambda _path, _id: 200)
    code = (
        "from django.db import transaction; from tests.factories import DeliveryFactory as F;"
        f" transaction.atomic(F.create_batch)({total}, url='{receiver.url()}');"
        f" print(json.dumps({total}))"
    )
    harness.rows(stack, code)
    began = time.monotonic()
    while len(receiver.arrivals) < total and time.monotonic() - began < 120:
        time.sleep(0.02)
    first = min(times[0] for times in receiver.arrivals.values())
    last = max(times[-1] for times in receiver.arrivals.values())
    print(f"  {total} deliveries within {last - first:.1f} s")
    harness.check(len(receiver.arrivals) == total, "all arrived")
    harness.check(last - first <= 10, "within 10 s")
    receiver.close()


def slow(stack: stacks.Stack, *, receivers: int = 20, rounds: int = 50) -> None:
    """One dead receiver among many: how long the others' deliveries take from event to receiver."""
    is_over = threading.Event()

    def answer(path: str, _: str) -> int:
        if path == "/0":
            is_over.wait(30)
        return 200

    receiver = harness.Receiver(answer)
    for number in range(receivers):
        harness.register(stack, f"service-{number}")
        harness.subscribe(stack, f"service-{number}", receiver.url(f"/{number}"), "lifecycle.*")
    sent: dict[tuple[str, int], float] = {}
    for turn in range(rounds):
        for number in range(receivers):
            body = {
                "service_name": f"service-{number}",
                "event": "crashed",
                "details": {"n": turn},
            }
            harness.send(stack, "lifecycle", body)
            sent[f"service-{number}", turn] = time.time()
        time.sleep(0.2)
    time.sleep(3)
    waits = [
        max(0.0, receiver.arrivals[message_id][0] - sent[name, body["data"]["details"]["n"]])
        for message_id, body in receiver.bodies.items()
        if (name := body["data"]["service_name"]) != "service-0"
    ]
    is_over.set()
    p50, p95 = statistics.median(waits), harness.percentile(waits, 0.95)
    print(
        f"  {len(waits)} deliveries to the {receivers - 1} others: median {p50:.3f} s, p95 {p95:.3f} s"
    )
    harness.check(len(waits) == (receivers - 1) * rounds, "all of theirs arrived")
    harness.check(p95 < 1, "95 % within a second")
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
                harness.warm_up(stack)
                part(stack)
        except harness.Broken as exc:
            has_failed = True
            print(f"  {exc}")
    sys.exit(1 if has_failed else 0)


if __name__ == "__main__":
    main()
