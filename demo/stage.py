"""What the story stands on: a Saga of its own, a server with releases, and a way to call them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE_SECONDS = 180.0
POLL_SECONDS = 0.2


def publish(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    release = json.dumps({"version": version}).encode()
    with tarfile.open(folder / f"shop-{version}.tar.gz", "w:gz") as archive:
        archive.add(HERE / "app.py", "app.py")
        entry = tarfile.TarInfo("release.json")
        entry.size = len(release)
        archive.addfile(entry, io.BytesIO(release))


def checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAGA_")}
    return kept | {
        "SAGA_DATA_DIR": str(folder / "saga"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "saga_project.settings",
    }


@contextmanager
def saga_running(folder: Path, port: int) -> Iterator[None]:
    with (folder / "saga.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "saga_project.local.stack", "run"],
            env=environment(folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, port, folder / "saga.log")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def administrator_token(folder: Path, port: int) -> str:
    """Return a token that may configure, made on this machine as an operator does."""
    command = [sys.executable, "manage.py", "create_token", "demo", "--scopes", "admin:registry"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment(folder, port)
    )
    return done.stdout.strip()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not is_ready(port):
        if process.poll() is not None or time.monotonic() > ends_at:
            raise SystemExit(f"Saga did not start:\n{log.read_text()[-3000:]}")
        time.sleep(POLL_SECONDS)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Log nothing: the demo prints its own report."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    folder.mkdir(exist_ok=True)
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def call(
    method: str, url: str, body: dict[str, Any] | None = None, *, token: str = ""
) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as exc:
        raise SystemExit(f"{method} {url} answered {exc.code}: {exc.read().decode()}") from exc
