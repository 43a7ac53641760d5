"""The whole stack, as ``make run`` starts it, in processes and a data folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from saga_project.local import parents
from saga_project.local.embedded import processes
from tests import migrated, waiting

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = "saga_project.local.stack"
NOT_INHERITED = {"DATABASE_URL", "REDIS_URL", "PYTEST_ADDOPTS", "SAGA_DATA_DIR"}


class Stack:
    """A launcher and its children; ``call`` speaks to the web processes."""

    command: Sequence[str | Path] = (sys.executable, "-m", LAUNCHER, "run")
    present_folder = ROOT

    def __init__(self, folder: Path, *, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = processes.any_free_port()
        inherited = {key: text for key, text in os.environ.items() if key not in NOT_INHERITED}
        self.environment = {
            **inherited,
            "SAGA_DATA_DIR": str(folder / "var"),
            "PORT": str(self.port),
            **variables,
        }
        self._log = (folder / "stack.log").open("ab")
        self.launcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.launcher = subprocess.Popen(
            self.command,
            cwd=self.present_folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(parents.end_with_parent, signal.SIGTERM),  # noqa: PLW1509 (one call)
        )
        waiting.until(self._is_ready, seconds=300)

    def _is_ready(self) -> bool:
        assert self.launcher is not None
        assert self.launcher.poll() is None, self.log()
        return self.call("GET", "/readyz")[0] == 200 and b"ready after" in self.log()

    def log(self) -> bytes:
        return (self.folder / "stack.log").read_bytes()

    def manage(self, *arguments: str) -> str:
        """Run a management command against this stack and return what it prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> tuple[int, Any]:
        """Return status and JSON of one answer; status 0 where there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        raw = None if body is None else json.dumps(body)
        try:
            sent = {"Content-Type": "application/json"} if raw else {}
            connection.request(method, path, body=raw, headers={**sent, **(headers or {})})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json and text else None

    def depths(self) -> dict[str, float]:
        """Return how many messages wait in each queue."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        found = re.findall(r'^saga_queue_depth{queue="([^"]+)"} (\S+)$', text, re.MULTILINE)
        return {queue: float(depth) for queue, depth in found}

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the processes of this stack with all the words in their command line."""
        found = []
        for each in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now
                line = " ".join(each.cmdline())
                if all(word in line for word in words):
                    found.append(each)
        return found

    def _all(self) -> list[psutil.Process]:
        marker = str(self.folder)
        servers = self._server_pids()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                variable = process.environ().get("SAGA_DATA_DIR", "")
                if process.pid in servers or variable.startswith(marker):
                    found.append(process)
        return found

    def _server_pids(self) -> set[int]:
        """PostgreSQL and Valkey write their own title and have an environment of their own."""
        files = (
            self.folder / "var" / "valkey" / "valkey.pid",
            self.folder / "var" / "postgresql" / "postmaster.pid",
        )
        found = set()
        for file in files:
            # A server that starts or ends is writing or removing its file.
            with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
                found.add(int(file.read_text().split()[0]))
        return found

    def kill(self, *words: str) -> int:
        """Kill -9 those processes and return how many there were."""
        victims = self.processes(*words)
        for victim in victims:
            victim.kill()
        waiting.until_ended(victims)
        return len(victims)

    def stop(self) -> None:
        if self.launcher is None:
            return
        self.launcher.send_signal(signal.SIGINT)
        try:
            self.launcher.wait(timeout=60)
        finally:
            self.kill()
            self._log.close()


@contextmanager
def running(launcher: str = LAUNCHER, **variables: str) -> Iterator[Stack]:
    """Start the stack over a migrated database; ``launcher`` is its module."""
    with _empty_folder() as folder:
        migrated.copy_to(folder / "var")
        with _started(folder, launcher, variables) as stack:
            yield stack


@contextmanager
def started_first(**variables: str) -> Iterator[Stack]:
    """Start the stack where Saga never ran."""
    with _empty_folder() as folder, _started(folder, LAUNCHER, variables) as stack:
        yield stack


@contextmanager
def _empty_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="saga-stack-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        # PostgreSQL of a root user runs as another account, which must get through.
        folder.chmod(0o711)
        yield folder


@contextmanager
def _started(folder: Path, launcher: str, variables: Mapping[str, str]) -> Iterator[Stack]:
    """Run the stack until the block ends, and leave nothing behind."""
    stack = Stack(folder, variables=variables)
    stack.command = (sys.executable, "-m", launcher, "run")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
