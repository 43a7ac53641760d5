"""Real web processes on a free port, for what only a real server shows: streams, disconnects, outages."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import requests
from django.conf import settings
from django.db import connection

from saga_project.local import listening, parents, stack
from saga_project.shared import counters

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 180


@dataclass
class WebServer:
    """Web processes on one port, with what they keep on disk in a folder of their own."""

    port: int
    data_dir: Path
    processes: list[subprocess.Popen[bytes]]
    start: Callable[[], subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url + path, timeout=90, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> requests.Response:
        return requests.post(self.url + path, timeout=90, **options)  # type: ignore[arg-type]

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            process.send_signal(number)

    def cells(self) -> list[list[int]]:
        """Return the shared counters of each process that has begun."""
        files = (counters.file_of(self._run_dir, process.pid) for process in self.processes)
        return [counters.read_cells(file) for file in files if file.exists()]

    @property
    def _run_dir(self) -> Path:
        return self.data_dir / settings.RUN_DIR.relative_to(settings.SAGA_DATA_DIR)

    def restart(self) -> None:
        """Kill each process as a crash would, and start another; calls that come meanwhile wait."""
        _end(self)
        self.processes[:] = [self.start() for _ in self.processes]
        _wait_until_up(self)

    def wait(self, seconds: float = 20) -> list[int]:
        return [process.wait(seconds) for process in self.processes]


def database_url(
    *, host: str | None = None, port: int | None = None, name: str | None = None
) -> str:
    """Return the address of the database that this test works in, as another process names it."""
    known = {**connection.settings_dict, **({"NAME": name} if name else {})}
    user, password = quote(known["USER"] or "", safe=""), quote(known["PASSWORD"] or "", safe="")
    where = f"{host or known['HOST']}:{port or known['PORT'] or 5432}"
    if str(known["HOST"]).startswith("/") and host is None:
        return (
            f"postgresql://{user}:{password}@/{known['NAME']}?host={quote(known['HOST'], safe='')}"
        )
    return f"postgresql://{user}:{password}@{where}/{known['NAME']}"


@contextlib.contextmanager
def serving(
    *,
    processes: int = 1,
    data_dir: Path | None = None,
    log: IO[bytes] | None = None,
    root: Path = ROOT,
    **environment: str,
) -> Iterator[WebServer]:
    """Run web processes over this test's database and Redis until the block ends.

    Counters and streams are summed over all processes of a data folder: each call has one of its own,
    unless it is given another's. The processes write their log to ``log``, else to this test's output. Their
    program is the one in ``root``.
    """
    with contextlib.ExitStack() as resources:
        folder = data_dir or Path(
            resources.enter_context(tempfile.TemporaryDirectory(prefix="saga-web-"))
        )
        listener = resources.enter_context(listening.listen("127.0.0.1", 0))
        start = functools.partial(_start, listener.fileno(), folder, environment, log, root)
        server = WebServer(listener.getsockname()[1], folder, [], start)
        resources.callback(_end, server)
        for _ in range(processes):
            server.processes.append(start())
        _wait_until_up(server)
        yield server


def _start(
    listener: int, folder: Path, extra: dict[str, str], log: IO[bytes] | None, root: Path
) -> subprocess.Popen[bytes]:
    http = (
        stack.PLAIN_PROTOCOL if extra.get("SAGA_FAST_PATH") == "false" else stack.FAST_PATH_PROTOCOL
    )
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "saga_project.asgi:application"),
            *("--fd", str(listener), "--loop", "uvloop", "--http", http),
            *(
                "--no-access-log",
                "--no-proxy-headers",
                "--log-level",
                "warning",
                "--timeout-graceful-shutdown",
                "5",
            ),
        ],
        cwd=root,
        stderr=log,
        env={
            **environment(),
            "SAGA_DATA_DIR": str(folder),
            "SAGA_DATABASE_POOL": "12",
            **extra,
        },
        pass_fds=[listener],
        preexec_fn=parents.end_with_parent,  # noqa: PLW1509 (one call to the kernel)
    )


def environment() -> dict[str, str]:
    """Return the environment of another process of Saga that shares this test's database and keys."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "saga_project.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        # No sweeps run beside a test: these processes report no health.
        "SAGA_HEALTH_EVENTS": "false",
        **_shared(),
    }


def _shared() -> dict[str, str]:
    """What a test and its web processes must agree on, wherever their data are."""
    return {
        "SAGA_SECRET_KEY": settings.SECRET_KEY,
        "SAGA_ENCRYPTION_KEYS": ",".join(settings.SAGA_ENCRYPTION_KEYS),
        "SAGA_ARTIFACTS_DIR": str(settings.SAGA_ARTIFACTS_DIR),
        "SAGA_BACKUPS_DIR": str(settings.SAGA_BACKUPS_DIR),
        "SAGA_INSTALL_ROOT": str(settings.SAGA_INSTALL_ROOT),
    }


def _end(server: WebServer) -> None:
    for process in server.processes:
        process.kill()
        process.wait()


def _wait_until_up(server: WebServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert all(process.poll() is None for process in server.processes), "a web process ended"
        have_begun = len(server.cells()) == len(server.processes)
        with contextlib.suppress(requests.RequestException):
            if have_begun and requests.get(server.url + "/livez", timeout=5).ok:
                return
        time.sleep(0.05)
    raise AssertionError("the web processes did not come up")
