"""Many small deployments at once on one worker, and whether the registry's sweeps notice.

    python -m bench.deployments --number 100

Starts the whole stack as ``make run`` does. Each service gets a small archive in a folder of its own.
Meanwhile 200 other services send heartbeats, and the age of the last sweep is read twice a second: it should
stay near one second, and none of them may expire.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import stage

LIVING = 200
TTL_SECONDS = 15
CALLERS = 8
PATIENCE_SECONDS = 300.0
LIVE = ("queued", "running", "paused")


@dataclass
class Watch:
    """What was seen beside the deployments."""

    sweep_ages: list[float] = field(default_factory=list)
    heartbeats: list[float] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=100)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saga-deployments-")))
        folder.chmod(0o711)  # PostgreSQL of a root user runs as another account
        port = stage.free_port()
        stack.enter_context(stage.saga_running(folder, port))
        artifacts = stack.enter_context(stage.serving(folder / "releases"))
        stage.publish(folder / "releases", "1.0.0")
        is_well = run(f"http://127.0.0.1:{port}/api/v1", artifacts, arguments.number)
    sys.exit(0 if is_well else 1)


def run(saga: str, artifacts: str, number: int) -> bool:
    names = [f"living-{index:03}" for index in range(LIVING)]
    for name in names:
        registration = {
            "service_name": name,
            "service_url": "http://127.0.0.1:9",
            "ttl": TTL_SECONDS,
        }
        stage.call("POST", f"{saga}/services/register", registration)
    with watching(saga, names) as alone:
        time.sleep(10)
    with watching(saga, names) as meanwhile:
        began_at = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as callers:
            jobs = list(callers.map(lambda index: deploy(saga, artifacts, index), range(number)))
        asked = time.monotonic() - began_at
        ends = wait_for_all(saga, jobs)
        seconds = time.monotonic() - began_at
    expired = stage.call("GET", f"{saga}/events?type=service.expired")["events"]
    statuses = Counter(job["status"] for job in ends)
    print(
        f"{number} deployments asked for in {asked:.1f} s, all over after {seconds:.1f} s", end=""
    )
    print(f" ({number / seconds:.1f}/s): {dict(statuses)}")
    show("before", alone)
    show("meanwhile", meanwhile)
    print(
        f"live services that expired: {len(expired)}; heartbeats without one: {len(meanwhile.missing)}"
    )
    return statuses == {"succeeded": number} and not expired and not meanwhile.missing


def deploy(saga: str, artifacts: str, index: int) -> str:
    body = {
        "service_name": f"small-{index:03}",
        "version": "1.0.0",
        "artifact_url": f"{artifacts}/shop-1.0.0.tar.gz",
    }
    return str(stage.call("POST", f"{saga}/webhooks/deploy", body)["job_id"])


def wait_for_all(saga: str, job_ids: list[str]) -> list[dict[str, Any]]:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    waiting = list(job_ids)
    over: list[dict[str, Any]] = []
    while waiting:
        if time.monotonic() > ends_at:
            raise SystemExit(f"{len(waiting)} jobs did not end, such as {waiting[0]}.")
        job = stage.call("GET", f"{saga}/updates/jobs/{waiting[0]}")
        if job["status"] in LIVE:
            time.sleep(stage.POLL_SECONDS)
        else:
            over.append(job)
            waiting.pop(0)
    return over


@contextlib.contextmanager
def watching(saga: str, names: list[str]) -> Iterator[Watch]:
    watch, is_over = Watch(), threading.Event()
    thread = threading.Thread(target=_watch, args=(saga, names, watch, is_over))
    thread.start()
    try:
        yield watch
    finally:
        is_over.set()
        thread.join()


def _watch(saga: str, names: list[str], watch: Watch, is_over: threading.Event) -> None:
    while not is_over.wait(0.5):
        health = stage.call("GET", f"{saga}/health")
        watch.sweep_ages.append(health["protection"]["sweep_lag_seconds"] or 0.0)
        began_at = time.monotonic()
        answer = stage.call("POST", f"{saga}/services/heartbeat", {"services": names})
        watch.heartbeats.append(time.monotonic() - began_at)
        watch.missing.update(answer["missing"])


def show(when: str, watch: Watch) -> None:
    ages, heartbeats = sorted(watch.sweep_ages), sorted(watch.heartbeats)
    print(
        f"{when:<10} last sweep p50 {statistics.median(ages):.1f} s, longest {ages[-1]:.1f} s ago;"
        f" {LIVING} heartbeats p50 {statistics.median(heartbeats) * 1000:.0f} ms,"
        f" slowest {heartbeats[-1] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
