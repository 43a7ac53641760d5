"""What an idle stack costs: processor time and memory of all its processes together.

    python -m bench.idle --services 100 --seconds 120

Starts the whole stack, registers services that send no heartbeat within the time, and adds up what every
process of it used: launcher, web processes, sweeps, workers, beat, PostgreSQL with its children, and Valkey.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import defaultdict

import psutil

from tests import stack as stacks
from tests import waiting

SETTLE_SECONDS = 40.0
MEBIBYTE = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120.0)
    arguments = parser.parse_args()
    with stacks.running() as stack:
        for number in range(arguments.services):
            body = {
                "service_name": f"idle-{number}",
                "service_url": "http://127.0.0.1:9",
                "ttl": 3600,
            }
            status, _ = stack.call("POST", "/api/v1/services/register", body)
            if status != 200:
                raise SystemExit(f"registration answered {status}")
        waiting.until(lambda: stack.processes("celery", "beat"), seconds=120)
        time.sleep(SETTLE_SECONDS)
        report(stack, seconds=arguments.seconds)


def report(stack: stacks.Stack, *, seconds: float) -> None:
    before = used(stack)
    time.sleep(seconds)
    after = used(stack)
    by_name: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for pid, (name, used_seconds, pss_bytes) in after.items():
        began = before[pid][1] if pid in before else 0.0
        by_name[name][0] += used_seconds - began
        by_name[name][1] += pss_bytes
    for name, (cpu_seconds, memory_bytes) in sorted(by_name.items()):
        share = 100 * cpu_seconds / seconds
        print(f"{name:12} {share:5.2f} % {memory_bytes / MEBIBYTE:6.0f} MiB")
    cpu = sum(values[0] for values in by_name.values())
    memory = sum(values[1] for values in by_name.values())
    print(f"{'all':12} {100 * cpu / seconds:5.2f} % {memory / MEBIBYTE:6.0f} MiB")


def used(stack: stacks.Stack) -> dict[int, tuple[str, float, int]]:
    """Return name, processor seconds and proportional memory of each process, by its number."""
    found = {}
    for process in family(stack):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            memory = process.memory_full_info().pss
            found[process.pid] = (name_of(process), times.user + times.system, memory)
    return found


def family(stack: stacks.Stack) -> list[psutil.Process]:
    known = {process.pid: process for process in stack.processes()}
    for process in list(known.values()):
        with contextlib.suppress(psutil.Error):
            known |= {child.pid: child for child in process.children(recursive=True)}
    return list(known.values())


def name_of(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    words = {
        "uvicorn": "web",
        "sweep": "sweeps",
        "check_services": "checks",
        "worker@": "worker",
        "delivery@": "delivery",
        "beat": "beat",
        "postgres": "postgresql",
        "valkey": "valkey",
    }
    return next((name for word, name in words.items() if word in line), "launcher")


if __name__ == "__main__":
    main()
