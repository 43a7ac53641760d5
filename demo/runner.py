"""Keeps one instance of the demo's service running, and restarts it into ``current`` when asked to.

This is what systemd or a container's supervisor does elsewhere: Saga flips ``current`` and calls /restart.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GRACE_SECONDS = 5


class Runner:
    def __init__(self, root: Path, arguments: Sequence[str], control_port: int) -> None:
        self._root = root
        self._arguments = arguments
        self._app: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", control_port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def restart_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/restart"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._stop_app()

    def restart(self) -> None:
        with self._lock:
            self._stop_app()
            command = [sys.executable, str(self._root / "current" / "app.py"), *self._arguments]
            self._app = subprocess.Popen(command)

    def _stop_app(self) -> None:
        if self._app is None:
            return
        self._app.terminate()
        try:
            self._app.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._app.kill()
            self._app.wait()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        runner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                runner.restart()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing: the demo tells the story."""

        return Handler
