"""What the processes in the background manage, and what they cost, in a stack as ``make run`` starts it.

    python -m bench.workers [--services 70000] [--expiring 10000] [--deliveries 1000]

Starts it in an empty folder, then again over the data it left; expires many instances in one sweep, with the
sweeps halted meanwhile; has one worker empty a queue of deliveries; and weighs the
processes before and after. Exit status 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from bench import webhook_harness, webhooks
from bench.webhook_harness import Broken, check
from tests import stack as stacks
from tests import waiting

#: By what stands in their command lines.
PROCESSES = {"worker": "worker@", "delivery": "delivery@", "sweeps": "sweep", "beat": "beat"}
OVERDUE = """
from registry import presence
from saga_project.shared import redis
members = [f"service-{{n:06d}}/default" for n in range({expiring})]
client = redis.connection()
seen = presence.overdue(within_seconds=0)
client.hset(presence.META, "floor", 0)
client.zadd(presence.DEADLINES, dict.fromkeys(members, seen.now_us - 1_000_000))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=70_000)
    parser.add_argument("--expiring", type=int, default=10_000)
    parser.add_argument("--deliveries", type=int, default=1_000)
    asked = parser.parse_args()
    try:
        with stacks.running() as stack:
            start(stack)
            weigh(stack, "at rest")
            expiries(stack, services=asked.services, expiring=asked.expiring)
            webhooks.backlog(stack, total=asked.deliveries)
            weigh(stack, "after all that")
    except Broken as exc:
        sys.exit(str(exc))


def start(stack: stacks.Stack) -> None:
    """The first start, which makes the databases, and one over what is there."""
    first = _seconds_of_last_start(stack)
    [launcher] = stack.processes("saga_project.local.stack")
    launcher.send_signal(signal.SIGINT)
    launcher.wait(timeout=60)
    began = time.monotonic()
    stack.start()
    again, until_ready = _seconds_of_last_start(stack), time.monotonic() - began
    print(
        f"  start: {first:.1f} s in an empty folder, {again:.1f} s over its data ({until_ready:.1f} s"
        " from the command to a 200 of /readyz)"
    )
    check(again <= 5, "started within 5 s")
    webhook_harness.warm_up(stack)


def _seconds_of_last_start(stack: stacks.Stack) -> float:
    return float(re.findall(rb"ready after ([\d.]+) s", stack.log())[-1])


def expiries(stack: stacks.Stack, *, services: int, expiring: int) -> None:
    """So many at once, and few enough of all that the protection against mass expiry stays off."""
    command = [sys.executable, "-m", "bench.fill", str(services)]
    subprocess.run(command, cwd=stacks.ROOT, env=stack.environment, check=True, capture_output=True)
    with _halted(stack.processes("saga_project sweep")):
        count, spent = _sweeps(stack)
        stack.manage("shell", "-v", "0", "-c", OVERDUE.format(expiring=expiring))
    waiting.until(lambda: _sweeps(stack)[0] > count, seconds=60)
    seconds = _sweeps(stack)[1] - spent
    events = webhook_harness.rows(
        stack,
        "from registry.models import Event;"
        " print(json.dumps(Event.objects.filter(type='service.expired').count()))",
    )
    print(f"  {events:,} of {services:,} services expired in one sweep of {seconds:.2f} s")
    check(events == expiring, "all of them, each with its event")
    check(seconds <= 2, "within 2 s")


def _sweeps(stack: stacks.Stack) -> tuple[float, float]:
    """Return how many sweeps there were and what they took together, as the worker itself measures it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = [
        re.search(rf'^saga_task_seconds_{what}{{task="registry.sweep"}} (\S+)$', text, re.MULTILINE)
        for what in ("count", "sum")
    ]
    count, total = (float(each[1]) if each else 0.0 for each in found)
    return count, total


@contextmanager
def _halted(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def weigh(stack: stacks.Stack, when: str) -> None:
    """Print what each process holds, and what of it is its own alone."""
    for name, word in PROCESSES.items():
        [process] = stack.processes("python", word)
        memory = process.memory_full_info()
        print(
            f"  memory {when}: {name:6} {memory.rss / 1e6:4.0f} MB,"
            f" {memory.uss / 1e6:4.0f} MB of it its own"
        )


if __name__ == "__main__":
    main()
