"""Keeps one instance of the demo's service running, and restarts it into ``current`` when asked to.

This is what systemd with a socket unit, or gunicorn, does elsewhere: Saga flips ``current`` and calls
/restart. The runner owns the listening socket. The new process accepts calls from it before the old one ends,
so that no call is refused.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GRACE_SECONDS = 5


def stop(app: subprocess.Popen[bytes] | None) -> None:
    if app is None:
        return
    app.terminate()
    try:
        app.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        app.kill()
        app.wait()
    if app.stdout is not None:
        app.stdout.close()


class Runner:
    def __init__(self, root: Path, arguments: Sequence[str], control_port: int) -> None:
        self._root = root
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        # Two processes wait for calls for a moment: the one that comes too late must not block.
        self._listener.setblocking(False)
        self._arguments = arguments
        self._app: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", control_port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def restart_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/restart"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        stop(self._app)
        self._listener.close()

    def restart(self) -> None:
        with self._lock:
            before, self._app = self._app, self._start_app()
            stop(before)

    def _start_app(self) -> subprocess.Popen[bytes]:
        """Start what is current, and wait until it accepts calls."""
        number = self._listener.fileno()
        program = str(self._root / "current" / "app.py")
        command = [sys.executable, program, *self._arguments, str(number)]
        app = subprocess.Popen(command, pass_fds=[number], stdout=subprocess.PIPE)
        if app.stdout is not None:
            app.stdout.readline()
        return app

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        runner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                runner.restart()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Log nothing: the demo prints its own report."""

        return Handler
