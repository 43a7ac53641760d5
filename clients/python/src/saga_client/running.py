"""Run a program and keep it registered: its checks decide its health, its end deregisters it."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import urllib3

from saga_client import errors
from saga_client.registration import Registration

logger = logging.getLogger("saga_client")

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
ENDING = {"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"}
CHECK_SECONDS = 3.0
NOT_FOUND, NOT_EXECUTABLE = 127, 126


def run(
    command: Sequence[str], registration: Registration, *, check: str | None, check_seconds: float
) -> int:
    """Return the exit status of the command, as a shell reports it."""
    try:
        process = subprocess.Popen(list(command))
    except OSError as exc:
        print(f"saga run: {command[0]} cannot be started: {exc.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(exc, FileNotFoundError) else NOT_EXECUTABLE
    watcher = Watcher(registration, check=check, check_seconds=check_seconds)
    with _forwarding(process, watcher):
        watcher.start()
        status = process.wait()
    watcher.stop()
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes], watcher: Watcher) -> Iterator[None]:
    """Forward signals to the process; those that end it first end its registration."""

    def forward(number: int, _: types.FrameType | None) -> None:
        if signal.Signals(number).name in ENDING:
            watcher.end()
        is_from_terminal = number == signal.SIGINT and sys.stdin.isatty()
        if not is_from_terminal and process.poll() is None:  # a terminal signals the whole group
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    previous = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Watcher:
    """A thread that registers, checks and reports until ``end()``."""

    def __init__(
        self, registration: Registration, *, check: str | None, check_seconds: float
    ) -> None:
        self._registration = registration
        self._check = check
        self._check_seconds = check_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saga-run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Have the thread deregister and end; safe in a signal handler."""
        self._ended.set()

    def stop(self) -> None:
        """End, and wait until it is deregistered, for a few seconds at most."""
        self.end()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while not self._is_well():
                if self._ended.wait(min(self._check_seconds, 1.0)):
                    return
            self._registration.start()
            self._report_changes()
        except errors.SagaError as exc:
            logger.error("The command runs without a registration: %s", exc)
        finally:
            self._registration.stop()

    def _report_changes(self) -> None:
        was_well = True
        while not self._ended.wait(self._check_seconds):
            is_well = self._is_well()
            if is_well != was_well:
                status = "passing" if is_well else "critical"
                self._registration.report(status, note="" if is_well else f"{self._check} fails")
            was_well = is_well

    def _is_well(self) -> bool:
        return self._check is None or probe(self._check)


def probe(address: str) -> bool:
    """Return whether an http(s) address answers 2xx, or a tcp one accepts, within three seconds."""
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        with contextlib.suppress(OSError, ValueError):
            where = (parts.hostname or "127.0.0.1", parts.port or 0)
            socket.create_connection(where, timeout=CHECK_SECONDS).close()
            return True
        return False
    try:
        answer = urllib3.request(
            "GET",
            address,
            retries=False,
            redirect=False,
            timeout=CHECK_SECONDS,
            preload_content=False,
        )
    except (urllib3.exceptions.HTTPError, OSError):
        return False
    answer.close()  # its body was not read: the connection is not used again
    answer.release_conn()
    return 200 <= answer.status < 300
