"""A receiver, a client and a killer of processes, for the benchmarks against a whole stack."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests import stack as stacks


class Broken(Exception):
    """A promise was not kept."""


def check(is_kept: bool, text: str) -> None:
    print(f"  {'kept  ' if is_kept else 'BROKEN'} {text}")
    if not is_kept:
        raise Broken(text)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Receiver:
    """A receiver on loopback; ``answer`` says with which status, or sleeps."""

    def __init__(self, answer: Callable[[str, str], int]) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.bodies: dict[str, Any] = {}
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                message_id = self.headers.get("webhook-id", "")
                with lock:
                    outer.arrivals[message_id].append(time.time())
                    outer.bodies[message_id] = json.loads(raw)
                self.send_response(answer(self.path, message_id))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = (
                128  # the default of five drops connections, which costs a second each
            )

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def register(stack: stacks.Stack, name: str, **fields: str) -> None:
    body = {"service_name": name, "service_url": "http://localhost:8001", "ttl": 3600, **fields}
    status, answer = stack.call("POST", "/api/v1/services/register", body)
    if status != 200:
        raise Broken(f"registering answered {status} {answer}")


def subscribe(stack: stacks.Stack, name: str, url: str, *topics: str) -> None:
    body = {
        "service_name": name,
        "subscriber": "bench",
        "callback_url": url,
        "topics": list(topics),
    }
    status, answer = stack.call("POST", "/api/v1/subscriptions", body)
    if status != 201:
        raise Broken(f"subscribing answered {status} {answer}")


def warm_up(stack: stacks.Stack) -> None:
    """Wait until the worker, which starts after the web processes, has delivered something."""
    receiver = Receiver(lambda _path, _id: 200)
    register(stack, "warm-up")
    subscribe(stack, "warm-up", receiver.url())
    send(stack, "lifecycle", {"service_name": "warm-up", "event": "started"})
    while not receiver.arrivals:
        time.sleep(0.05)
    receiver.close()


def send(stack: stacks.Stack, route: str, body: Any, message_id: str | None = None) -> int:
    """Send until an answer arrives; an unanswered call may have acted, so the id stays the same."""
    headers = {"webhook-id": message_id} if message_id else {}
    for _ in range(200):
        status, _ = stack.call(
            "POST", f"/api/v1/webhooks/{route}", body, headers=headers, timeout=30
        )
        if status not in (0, 500, 503):
            return status
        time.sleep(0.1)
    return 0


def rows(stack: stacks.Stack, code: str) -> Any:
    return json.loads(stack.manage("shell", "-v", "0", "-c", f"import json; {code}"))


class Killer:
    """Kills processes of a stack with -9 whenever enough has happened since the last time.

    By progress and not by the clock: a process that is killed before it is up shows nothing.
    """

    def __init__(
        self, stack: stacks.Stack, *words: str, progress: Callable[[], int], every: int
    ) -> None:
        self.count = 0
        self.is_over = threading.Event()

        def kill() -> None:
            mark = every
            while not self.is_over.wait(0.05):
                if progress() >= mark:
                    self.count += bool(stack.kill(*words))
                    mark = progress() + every

        self.thread = threading.Thread(target=kill, daemon=True)
        self.thread.start()

    def stop(self) -> int:
        self.is_over.set()
        self.thread.join()
        return self.count
