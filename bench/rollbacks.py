"""How long a rollback takes to a release that is still on disk, from the request to the switch.

    python -m bench.rollbacks

In the whole stack as ``make run`` starts it, for a small and a larger release, each a few times: by a
rollback, by an abort in the pause of a canary, by a fast rollback of three targets, and by an abort of a
blue-green deployment while the old slot waits. The clock stops when ``current`` points at the release again
on every target; for blue-green, when lookups answer the instance of the old slot again.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from demo import stage

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.005
#: Files of a release, and their size in bytes.
RELEASES = {"small": (3, 1_000), "large": (400, 100_000)}
TARGETS = 3
HEARTBEAT_SECONDS = 1.0


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
        token = stage.administrator_token(folder, port)
        for name in RELEASES:
            bench = Bench(folder, saga, artifacts, name)
            measure(name, "rollbacks", bench.roll_back, arguments.number)
            measure(name, "aborts", bench.abort, arguments.number)
            several = SeveralTargets(folder, saga, artifacts, f"{name}-fleet")
            several.add_targets(token)
            measure(
                name, f"fast rollbacks of {TARGETS} targets", several.roll_back, arguments.number
            )
            slots = TwoSlots(folder, saga, artifacts, f"{name}-slots")
            slots.add_targets(token)
            with slots.alive():
                measure(name, "aborts of blue-green", slots.abort, arguments.number)


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
        self._await(
            lambda: all((root / "current").readlink().name == old for root in self._roots), job_id
        )
        seconds = time.monotonic() - began_at
        self._end(job_id, end)
        return seconds

    def _await(self, is_done: Callable[[], bool], job_id: str) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not is_done():
            if time.monotonic() > ends_at:
                raise SystemExit(f"{job_id} did not switch.")
            time.sleep(POLL_SECONDS)

    def _apply(self, token: str, targets: list[dict[str, Any]]) -> None:
        """Configure one target for each install root, as a file does."""
        for root in self._roots:
            root.mkdir(parents=True)
        document = {
            "managed_by": self._name,
            "services": [{"name": self._name}],
            "targets": [
                {"service_name": self._name, "name": root.name, "install_root": str(root), **target}
                for root, target in zip(self._roots, targets, strict=True)
            ],
        }
        stage.call("POST", f"{self._saga}/apply", document, token=token)

    def _publish(self, version: str, files: int, size: int) -> None:
        path = self._folder / "releases" / f"{self._name}-{version}.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for number in range(files):
                entry = tarfile.TarInfo(f"file-{number}")
                entry.size = size
                archive.addfile(entry, io.BytesIO(os.urandom(size)))

    def _deploy(self, version: str, *, strategy: str = "rolling", **more: Any) -> str:
        body = {
            "service_name": self._name,
            "version": version,
            "artifact_url": f"{self._artifacts}/{self._name}-{version}.tar.gz",
            "strategy": strategy,
            **more,
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

    def add_targets(self, token: str) -> None:
        self._apply(token, [{"instance_id": f"i-{number}"} for number in range(TARGETS)])


class TwoSlots(Bench):
    """A service in two slots of one target each, both alive; the clock is that of a client's lookup."""

    def __init__(self, folder: Path, saga: str, artifacts: str, name: str) -> None:
        super().__init__(folder, saga, artifacts, name)
        self._roots = [folder / "machines" / name / slot for slot in ("blue", "green")]

    def add_targets(self, token: str) -> None:
        self._apply(token, [{"instance_id": slot, "slot": slot} for slot in ("blue", "green")])

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Keep an instance of each slot registered, with the version in its ``current``."""
        ended = threading.Event()
        thread = threading.Thread(target=self._send_heartbeats, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _send_heartbeats(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            for number, root in enumerate(self._roots):
                current = root / "current"
                if current.is_symlink():
                    self._register(root.name, 9000 + number, current.readlink().name)

    def _register(self, slot: str, port: int, version: str) -> None:
        body = {
            "service_name": self._name,
            "instance_id": slot,
            "service_url": f"http://127.0.0.1:{port}",
            "version": version,
        }
        stage.call("POST", f"{self._saga}/services/register", body)

    def abort(self, number: int, files: int, size: int) -> float:
        """Deploy a version to each slot, then measure the way back of the lookups from the second."""
        old, new = f"{number}.5.0", f"{number}.6.0"
        for version in (old, new):
            self._publish(version, files, size)
        self._end(self._deploy(old), "succeeded")
        before = self._found()
        options = {"bake_seconds": 0, "scale_down_delay_seconds": 600}
        job_id = self._deploy(new, strategy="blue-green", strategy_options=options)
        self._await(lambda: self._found() not in ("", before), job_id)
        self._wait(job_id, "paused", "verifying", "deploying")
        began_at = time.monotonic()
        stage.call("POST", f"{self._saga}/updates/jobs/{job_id}/abort", {})
        self._await(lambda: self._found() == before, job_id)
        seconds = time.monotonic() - began_at
        self._end(job_id, "rolled_back")
        return seconds

    def _found(self) -> str:
        """Return the address that a lookup answers."""
        found = stage.call("GET", f"{self._saga}/services/{self._name}")
        return str(found["service_url"])


if __name__ == "__main__":
    main()
