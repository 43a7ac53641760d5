"""The service that the demo deploys: registers, sends heartbeats, answers; each release holds a copy of it.

``runner.py`` starts it from the release that is current, and hands it the socket that it listens on. A file
called ``sick`` beside it makes it say that it is critical. Standard library only, as strangers write it.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RELEASE = json.loads((HERE / "release.json").read_text())
HEARTBEAT_SECONDS = 1.0


def is_sick() -> bool:
    return (HERE / "sick").exists()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_bad = self.path == "/health" and is_sick()
        body = json.dumps({"version": RELEASE["version"]}).encode()
        self.send_response(500 if is_bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing: the demo prints its own report."""


def call_saga(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=5):
        pass


def keep_registered(
    saga: str, name: str, instance: str, url: str, is_over: threading.Event
) -> None:
    """Register, then beat every second; register again where Saga does not know us any more."""
    registration = {
        "service_name": name,
        "service_url": url,
        "capabilities": ["rest"],
        "instance_id": instance,
        "version": RELEASE["version"],
        "ttl": 30,
    }
    is_registered = False
    while not is_over.is_set():
        status = "critical" if is_sick() else "passing"
        beat = {"instance_id": instance, "status": status, "version": RELEASE["version"]}
        try:
            if is_registered:
                call_saga(f"{saga}/services/{name}/heartbeat", beat)
            else:
                call_saga(f"{saga}/services/register", registration)
            is_registered = True
        except OSError:
            is_registered = False
        is_over.wait(HEARTBEAT_SECONDS)


def main(saga: str, name: str, instance: str, listener: int) -> None:
    is_over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=listener)
    port = server.socket.getsockname()[1]
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    url = f"http://127.0.0.1:{port}"
    beating = threading.Thread(target=keep_registered, args=(saga, name, instance, url, is_over))
    beating.start()
    print("ready", flush=True)
    server.serve_forever(poll_interval=0.05)
    is_over.set()
    server.server_close()  # waits for the calls under way


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
