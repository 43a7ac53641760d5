"""Stay registered: heartbeats from a thread, through forks, restarts of Saga, and to the last process."""

from __future__ import annotations

import atexit
import contextlib
import logging
import random
import signal
import sys
import threading
import types
from typing import Any
from urllib.parse import urlsplit

from saga_client import errors, forks, sharing
from saga_client.transport import Transport, segment

logger = logging.getLogger("saga_client")

DEFAULT_TTL_SECONDS = 60
HEARTBEATS_PER_TTL = 3
RETRY_SECONDS = 2.0
FAREWELL_SECONDS = 3.0


class Registration:
    """One instance of a service, from ``start()`` to ``stop()``, or for a ``with`` block.

    A thread sends heartbeats and registers again when Saga has forgotten the instance. Whatever Saga does,
    the application goes on: only a registration that Saga calls invalid raises, at the start. Processes that
    share the instance (a pre-forking server's workers) elect one that sends heartbeats; the last to end
    deregisters it, also at exit and on SIGTERM.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        url: str,
        *,
        instance_id: str | None = None,
        **fields: Any,
    ) -> None:
        self.name = name
        self.instance_id = instance_id or default_instance_id(url)
        self._transport = transport
        self._fields = {key: value for key, value in fields.items() if value is not None}
        self._body = {
            "service_name": name,
            "service_url": url,
            "instance_id": self.instance_id,
            **self._fields,
        }
        self._ttl = float(fields.get("ttl") or DEFAULT_TTL_SECONDS)
        self._report: dict[str, Any] = {}
        self._is_registered = False
        self._is_running = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._share = sharing.Share(f"{transport.url}|{name}|{self.instance_id}")
        self._previous_handler: Any = None

    def __enter__(self) -> Registration:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_registered(self) -> bool:
        """Whether this process sends the heartbeats, and Saga answered the last one."""
        return self._is_registered

    def start(self) -> None:
        """Register and begin to send heartbeats. Raises InvalidRequest where Saga rejects the fields."""
        self._share.join()
        if self._share.lead():
            self._register_at_start()
        self._is_running = True
        self._start_thread()
        forks.remember(self)
        atexit.register(self.stop)
        self.handle_sigterm()

    def stop(self) -> None:
        """Stop the heartbeats; deregister if no other process shares the instance. Raises nothing."""
        if not self._is_running:
            return
        self._is_running = False
        atexit.unregister(self.stop)
        self._restore_sigterm()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(FAREWELL_SECONDS)
        if self._share.leave():
            self._deregister()

    def report(self, status: str, *, note: str | None = None) -> None:
        """Send ``passing``, ``warning`` or ``critical`` with this and the following heartbeats."""
        self._report = {"status": status, **({"note": note} if note else {})}
        self._wake.set()

    def after_fork(self) -> None:
        """Go on in a forked child, which inherits neither threads nor leadership."""
        self._wake = threading.Event()
        self._is_registered = False
        if self._is_running:
            self._share.rejoin()
            self._start_thread()

    # --- The thread -------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"saga-{self.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._is_running:
            self._wake.wait(self._pause())
            self._wake.clear()
            if not self._is_running:
                return
            if self._share.lead():
                self._beat()

    def _pause(self) -> float:
        interval = self._ttl / HEARTBEATS_PER_TTL
        if self._share.is_leader and not self._is_registered:
            interval = min(interval, RETRY_SECONDS)
        return interval * random.uniform(0.9, 1.0)  # noqa: S311

    def _beat(self) -> None:
        """Send one heartbeat, or register where Saga does not know the instance."""
        try:
            if self._is_registered:
                self._heartbeat()
            else:
                self._register()
        except errors.SagaError as exc:
            self._note_trouble(exc)
        except Exception:
            logger.exception("The heartbeat of '%s' failed.", self.name)

    def _heartbeat(self) -> None:
        body = {"instance_id": self.instance_id, **self._report}
        try:
            self._transport.call(
                "POST",
                f"/services/{segment(self.name)}/heartbeat",
                body=body,
                timeout=self._patience,
            )
        except (errors.InvalidRequest, errors.NotFound) as exc:
            if exc.error != "Service not found":
                raise
            logger.info("Saga has forgotten '%s'; it is registered again.", self.name)
            self._is_registered = False
            self._register()

    def _register(self) -> None:
        answer = self._transport.call(
            "POST", "/services/register", body=self._body, timeout=self._patience
        )
        self._ttl = float(answer["ttl"])
        self._is_registered = True
        if self._report.get("status", "passing") != "passing":
            self._heartbeat()

    @property
    def _patience(self) -> float:
        """Seconds to wait for an answer: less than the time between two heartbeats."""
        return min(10.0, self._ttl / HEARTBEATS_PER_TTL)

    def _register_at_start(self) -> None:
        try:
            self._register()
        except errors.InvalidRequest:
            self._share.leave()
            raise
        except errors.SagaError as exc:
            self._note_trouble(exc)

    def _note_trouble(self, exc: errors.SagaError) -> None:
        logger.warning("'%s' cannot reach its registration: %s", self.name, exc)
        if not isinstance(exc, (errors.Unreachable, errors.Unavailable)):
            self._is_registered = False

    # --- The end ----------------------------------------------------------------------------------

    def _deregister(self) -> None:
        try:
            self._transport.call(
                "DELETE",
                f"/services/{segment(self.name)}",
                query={"instance_id": self.instance_id},
                timeout=FAREWELL_SECONDS,
            )
        except errors.SagaError as exc:
            logger.warning("'%s' was not deregistered and expires by itself: %s", self.name, exc)
        self._is_registered = False

    def handle_sigterm(self) -> None:
        """End by SystemExit on SIGTERM, if the application has no handler: `with` and atexit then run.

        ``start`` does it in the main thread; elsewhere it does nothing.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous_handler = signal.signal(signal.SIGTERM, _exit)

    def _restore_sigterm(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        if self._previous_handler is not None and is_main:
            with contextlib.suppress(ValueError):
                if signal.getsignal(signal.SIGTERM) is _exit:
                    signal.signal(signal.SIGTERM, self._previous_handler)
        self._previous_handler = None


def _exit(number: int, _: types.FrameType | None) -> None:
    sys.exit(128 + number)


def default_instance_id(url: str) -> str:
    """Return host and port, by which the instances of a service differ."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = (parts.hostname or "default").replace(":", "-")
    return f"{host}:{port}"
