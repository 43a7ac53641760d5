"""A service on three targets, with a server that has its artifacts and says how its instances are."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from registry.models import Service
from registry.operations import ensure_service
from tests.updates.artifacts.archives import hostile
from updates import operations
from updates.models import Job, Target
from updates.releases import recording

OPTIONS: dict[str, dict[str, Any]] = {
    "rolling": {"max_unavailable": 1},
    "canary": {"steps": [{"weight": 34, "pause_seconds": 1}]},
}
#: A rolling deployment that tolerates one failed target, which is restored before the next begins.
WAVES: dict[str, Any] = {"waves": [{"error_threshold": 1, "success_threshold": 1}]}


@dataclass
class Scene:
    folder: Path
    base_url: str = ""
    artifacts: dict[str, bytes] = field(default_factory=dict)
    #: A number that it returns is the status of the answer, else 200.
    on_restart: Callable[[str], object] = lambda _path: None
    on_health: Callable[[str], None] = lambda _path: None
    on_download: Callable[[str], None] = lambda _path: None
    #: How often each path still answers 503, before it does what it should.
    refusals: Counter[str] = field(default_factory=Counter)
    #: Return what runs on a target, by service and number, where that is not in ``current``.
    running: Callable[[str, str], str | None] | None = None

    def add_service(self, name: str, *, targets: int = 3) -> Service:
        service = ensure_service(name)
        for number in range(targets):
            root = self.folder / name / str(number)
            root.mkdir(parents=True)
            Target.objects.create(
                service=service,
                name=f"target-{number}",
                position=number,
                install_root=str(root),
                instance_id=f"instance-{number}",
                drain_seconds=0,
                restart=Target.Restart.HTTP,
                restart_with=f"{self.base_url}/restart/{name}/{number}",
                health_url=f"{self.base_url}/health/{name}/{number}",
                health_successes=1,
                healthy_deadline_seconds=0,
            )
        return service

    def announce(self, version: str, *, filler: bytes = b"") -> recording.Announcement:
        """A version that begins with ``bad`` is unhealthy wherever it is current."""
        files = {"VERSION": version.encode(), "bin/run": b"#!/bin/sh\n" * 20, "filler": filler}
        data = hostile.good_tar_gz(files)
        self.artifacts[f"/artifacts/{version}.tar.gz"] = data
        return recording.Announcement(
            version=version,
            artifact_url=f"{self.base_url}/artifacts/{version}.tar.gz",
            checksum=f"sha256:{hashlib.sha256(data).hexdigest()}",
        )

    def deploy(self, service: Service, version: str, *, strategy: str = "rolling") -> Job:
        return operations.deploy(
            service,
            self.announce(version),
            by="ci",
            strategy="rolling" if strategy == "waves" else strategy,
            options=OPTIONS.get(strategy, WAVES),
        )

    def deploy_announced(self, service: Service, announcement: recording.Announcement) -> Job:
        return operations.deploy(service, announcement, by="ci")

    def is_healthy(self, name: str, number: str) -> bool:
        if self.running is not None:
            version = self.running(name, number)
            return version is not None and not version.startswith("bad")
        current = self.folder / name / number / "current" / "VERSION"
        return current.is_file() and not current.read_text().startswith("bad")

    def refuses(self, path: str) -> bool:
        self.refusals[path] -= 1
        return self.refusals[path] >= 0

    def errors_of(self, name: str) -> int:
        """Return the number that a service shows of itself: it has errors while a bad version runs."""
        versions = (self.folder / name).glob("*/current/VERSION")
        return sum(path.read_text().startswith("bad") for path in versions)


@contextmanager
def opened(folder: Path, *, address: str = "127.0.0.1") -> Iterator[Scene]:
    scene = Scene(folder=folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/health/"):
                scene.on_health(self.path)
                _, _, name, number = self.path.split("/")
                self._answer(200 if scene.is_healthy(name, number) else 500, b"")
                return
            if self.path.startswith("/figures/"):
                errors = scene.errors_of(self.path.rpartition("/")[2])
                self._answer(200, json.dumps({"errors": errors}).encode())
                return
            scene.on_download(self.path)
            if scene.refuses(self.path):
                self._answer(503, b"")
                return
            if self.path in scene.artifacts:
                self._answer(200, scene.artifacts[self.path])
            else:
                self._answer(404, b"")

        def do_POST(self) -> None:
            if scene.refuses(self.path):
                self._answer(503, b"")
                return
            status = scene.on_restart(self.path)
            self._answer(status if isinstance(status, int) else 200, b"")

        def _answer(self, status: int, body: bytes) -> None:
            with suppress(BrokenPipeError):  # the client was killed
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer((address, 0), Handler) as server:
        scene.base_url = f"http://{address}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield scene
        finally:
            server.shutdown()
            thread.join()
