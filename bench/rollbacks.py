"""How long a rollback takes to a release that is still on disk, from the request to the switch.

    python -m bench.rollbacks

In the whole stack as ``make run`` starts it, for a small and a larger release, each a few times: by a
rollback, by an abort in the pause of a canary, and by a fast rollback of three targets. The clock stops when
``current`` points at the release again, on every target.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo import stage

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.005
#: Files of a release, and their size in bytes.
RELEASES = {"small": (3, 1_000), "large": (400, 100_000)}
TARGETS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=10)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saga-rollbacks-")))
        folder.chmod(0o711)  # PostgreSQL of a root user runs as another account
        port = stage.free_port()
        stack.enter_context(stage.saga_running(folder, port))
        artifacts = stack.enter_context(stage.serving(folder / "releases"))
        saga = f"http://127.0.0.1:{port}/api/v1"
        for name in RELEASES:
            bench = Bench(folder, saga, artifacts, name)
            measure(name, "rollbacks", bench.roll_back, arguments.number)
            measure(name, "aborts", bench.abort, arguments.number)
            several = SeveralTargets(folder, saga, artifacts, f"{name}-fleet")
            several.add_targets(stage.environment(folder, port))
            measure(
                name, f"fast rollbacks of {TARGETS} targets", several.roll_back, arguments.number
            )


def measure(name: str, ways: str, go_back: Callable[[int, int, int], float], number: int) -> None:
    files, size = RELEASES[name]
    seconds = [go_back(each, files, size) for each in range(number)]
    print(
        f"{name:<6} ({files} files of {size:,} bytes): {len(seconds)} {ways},"
        f" p50 {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s to the switch",
        flush=True,
    )


class Bench:
    def __init__(self, folder: Path, saga: str, artifacts: str, name: str) -> None:
        self._folder, self._saga, self._artifacts, self._name = folder, saga, artifacts, name
        self._roots = [folder / "saga" / "services" / name]
        self._more: dict[str, Any] = {}

    def roll_back(self, number: int, files: int, size: int) -> float:
        """Deploy two versions, then measure the way back from the second to the first."""
        old, new = f"{number}.1.0", f"{number}.2.0"
        for version in (old, new):
            self._publish(version, files, size)
            self._end(self._deploy(version), "succeeded")
        return self._measure(
            "webhooks/rollback", {"service_name": self._name, **self._more}, old, "succeeded"
        )

    def abort(self, number: int, files: int, size: int) -> float:
        """Deploy a version and a second as a canary, then measure the rollback from its pause."""
        old, new = f"{number}.3.0", f"{number}.4.0"
        for version in (old, new):
            self._publish(version, files, size)
        self._end(self._deploy(old), "succeeded")
        job_id = self._deploy(new, strategy="canary")
        self._wait(job_id, "paused")
        return self._measure(f"updates/jobs/{job_id}/abort", {}, old, "rolled_back")

    def _measure(self, path: str, body: dict[str, Any], old: str, end: str) -> float:
        began_at = time.monotonic()
        job_id = str(stage.call("POST", f"{self._saga}/{path}", body)["job_id"])
        while any((root / "current").readlink().name != old for root in self._roots):
            if time.monotonic() - began_at > PATIENCE_SECONDS:
                raise SystemExit(f"{job_id} did not switch.")
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began_at
        self._end(job_id, end)
        return seconds

    def _publish(self, version: str, files: int, size: int) -> None:
        path = self._folder / "releases" / f"{self._name}-{version}.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for number in range(files):
                entry = tarfile.TarInfo(f"file-{number}")
                entry.size = size
                archive.addfile(entry, io.BytesIO(os.urandom(size)))

    def _deploy(self, version: str, *, strategy: str = "rolling") -> str:
        body = {
            "service_name": self._name,
            "version": version,
            "artifact_url": f"{self._artifacts}/{self._name}-{version}.tar.gz",
            "strategy": strategy,
        }
        return str(stage.call("POST", f"{self._saga}/webhooks/deploy", body)["job_id"])

    def _end(self, job_id: str, status: str) -> None:
        self._wait(job_id, "succeeded", "failed", "cancelled", "rolled_back")
        job = stage.call("GET", f"{self._saga}/updates/jobs/{job_id}")
        if job["status"] != status:
            raise SystemExit(f"{job_id} {job['status']}: {job['error']}")

    def _wait(self, job_id: str, *statuses: str) -> None:
        while stage.call("GET", f"{self._saga}/updates/jobs/{job_id}")["status"] not in statuses:
            time.sleep(0.05)


class SeveralTargets(Bench):
    """A service on several targets, restored all at once."""

    def __init__(self, folder: Path, saga: str, artifacts: str, name: str) -> None:
        super().__init__(folder, saga, artifacts, name)
        self._roots = [folder / "machines" / name / str(number) for number in range(TARGETS)]
        self._more = {"fast": True}

    def add_targets(self, environment: Mapping[str, str]) -> None:
        """Write the rows of the targets, as staff do in the admin."""
        targets = [
            {"name": f"machine-{number}", "install_root": str(root), "instance_id": f"i-{number}"}
            for number, root in enumerate(self._roots)
        ]
        for root in self._roots:
            root.mkdir(parents=True)
        command = [sys.executable, "-m", "demo.setup", self._name, json.dumps(targets)]
        subprocess.run(command, check=True, env=dict(environment))


if __name__ == "__main__":
    main()
