"""Stalls of Redis under work for every queue: as a failover pauses it, and as a frozen host does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis as redis_library
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests import stack as stacks
from tests import waiting

STALL_SECONDS = 3.0
NAME = "stalled"
HEALTH = "/api/v1/health"


class Work:
    """Configures webhooks all the time, each of which must reach a subscriber."""

    def __init__(self, stack: stacks.Stack, receiver: HTTPServer) -> None:
        self.stack = stack
        self.received = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._configure)
        receiver.expect_request("/hook").respond_with_handler(self._receive)
        registration = {"service_name": NAME, "service_url": "http://127.0.0.1:9", "ttl": 3600}
        self._call("/api/v1/services/register", registration)
        subscription = {
            "service_name": NAME,
            "subscriber": "tests",
            "callback_url": receiver.url_for("/hook"),
            "topics": ["webhook.*"],
        }
        self._call("/api/v1/subscriptions", subscription)
        redis_url = "from django.conf import settings; print(settings.REDIS_URL)"
        self.redis = redis_library.Redis.from_url(stack.manage("shell", "-v", "0", "-c", redis_url))

    def _call(self, path: str, body: object) -> None:
        waiting.until(lambda: self.stack.call("POST", path, body)[0] in (200, 201), seconds=60)

    def _receive(self, request: Request) -> Response:
        self.received += 1
        return Response(status=204)

    def _configure(self) -> None:
        number = 0
        while not self._is_over.wait(0.1):
            number += 1
            body = {"service_name": NAME, "endpoints": {"chat": f"http://127.0.0.1:9/{number}"}}
            self.stack.call("POST", "/api/v1/webhooks/config", body)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()


def pause(work: Work) -> None:
    """Have Redis queue all commands, and run them late in one burst."""
    work.redis.execute_command("CLIENT", "PAUSE", int(STALL_SECONDS * 1000), "ALL")
    time.sleep(STALL_SECONDS)


def freeze(work: Work) -> None:
    """Stop the server itself: it accepts connections and answers nothing."""
    [server] = work.stack.processes("valkey-server")
    server.suspend()
    try:
        time.sleep(STALL_SECONDS)
    finally:
        server.resume()


def recover(work: Work, stall: Callable[[Work], None]) -> float:
    """Stall Redis once; return the seconds until sweeps run and events are delivered again."""
    stall(work)
    began = time.monotonic()
    received = work.received
    waiting.until(lambda: is_sweeping(work.stack), seconds=60)
    waiting.until(lambda: work.received > received, seconds=60)
    waiting.until(lambda: is_healthy(work.stack), seconds=60)
    return time.monotonic() - began


def is_sweeping(stack: stacks.Stack) -> bool:
    """Whether a sweep ran within the last seconds."""
    status, body = stack.call("GET", HEALTH)
    lag_seconds = body["protection"]["sweep_lag_seconds"] if status == 200 else None
    return lag_seconds is not None and lag_seconds < STALL_SECONDS


def is_healthy(stack: stacks.Stack) -> bool:
    status, body = stack.call("GET", HEALTH)
    return status == 200 and bool(body["status"] == "healthy")


def workers(stack: stacks.Stack) -> set[int]:
    """Return the process ids of sweeps, workers and beat."""
    return {each.pid for word in ("celery", "saga_project sweep") for each in stack.processes(word)}
