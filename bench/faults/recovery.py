"""How long a deployment stops when its worker is killed with -9, in the whole stack.

    python -m bench.faults.recovery --kills 10

The worker of the whole stack is killed at random while it deploys to three targets; the clock runs until the
job's journal grows again. The supervisor starts the worker anew, the sweep gives the job to it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from demo import stage, story

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saga-recovery-")))
        folder.chmod(0o711)  # PostgreSQL of a root user runs as another account
        bench = Bench(folder, stack)
        seconds = [bench.deploy_and_kill(number) for number in range(arguments.kills)]
    p95 = statistics.quantiles(seconds, n=20)[18] if len(seconds) > 1 else seconds[0]
    print(f"{len(seconds)} kills: p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s")


class Bench(story.Story):
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        super().__init__(folder, stack)
        self.set_up()
        stage.publish(self._releases, "0")
        self.wait(self.deploy("0", strategy="rolling"))

    def deploy_and_kill(self, number: int) -> float:
        version = f"1.{number}"
        stage.publish(self._releases, version)
        job_id = self.deploy(version, strategy="rolling")
        time.sleep(random.uniform(0.5, 6))  # noqa: S311
        worker = the_worker()
        before = self._journal(job_id)
        worker.kill()
        killed_at = time.monotonic()
        while self._journal(job_id) == before:
            if time.monotonic() - killed_at > PATIENCE_SECONDS:
                raise SystemExit(f"{job_id} is stuck.")
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - killed_at
        while (job := self.job(job_id))["status"] in story.LIVE:
            time.sleep(POLL_SECONDS)
        print(f"{job_id}: {seconds:.1f} s, then {job['status']}", flush=True)
        if job["status"] != "succeeded":
            raise SystemExit(job["error"])
        return seconds

    def _journal(self, job_id: str) -> list[Any]:
        job = self.job(job_id)
        return [job["status"], *((step["name"], step["status"]) for step in job["steps"])]


def the_worker() -> psutil.Process:
    """Return the process of our own stack that works on deployments."""
    for process in psutil.Process().children(recursive=True):
        if any(word.startswith("--hostname=worker@") for word in process.cmdline()):
            return process
    raise SystemExit("The stack has no worker.")


if __name__ == "__main__":
    main()
