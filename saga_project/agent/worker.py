"""Poll for orders, do them in threads, report. Killed at any line, it gets its open orders once more."""

from __future__ import annotations

import datetime as dt
import json
import logging
import platform
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import saga_client
from saga_client import transport

from saga_project import __version__
from saga_project.agent import allowances, execution, services
from saga_project.agent.configuration import Allowed
from saga_project.agent.state import AgentState
from saga_project.shared import http_client
from updates.rollouts.agents import envelopes
from updates.step_context import Interrupted

logger = logging.getLogger(__name__)
WAIT_SECONDS = 15
REPORT_SECONDS = 2.0
#: Without contact for so long, a step ends at its next checkpoint, as a worker's does with its lease.
CONTACT_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 5.0
FACTS_SECONDS = 300.0
STOP_SECONDS = 10.0
AWAY = (saga_client.Unreachable, saga_client.Unavailable, saga_client.TooManyRequests)


@dataclass
class Running:
    """An order that a thread is doing."""

    order: dict[str, Any]
    is_over: threading.Event = field(default_factory=threading.Event)
    progress: int = 0
    message: str = ""

    def report(self, percent: int, message: str) -> None:
        self.progress, self.message = max(0, min(100, percent)), message[: execution.MAX_MESSAGE]


class Agent:
    """One node's agent. Making it raises OSError where the files of its certificate cannot be used."""

    def __init__(self, state: AgentState, allowed: Allowed) -> None:
        identity = state.read_identity()
        assert identity is not None  # noqa: S101 (the command joined before)
        self._state, self._allowed, self._identity = state, allowed, identity
        self._calls = self.calls_with(identity.token)
        self._service_calls = self.calls_with(identity.token, prefix=services.PREFIX)
        if identity.certificate:
            http_client.present_certificate(
                identity.server, certificate=identity.certificate, key=identity.key
            )
        self._running: dict[str, Running] = {}
        self._subjects: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._contact_at = time.monotonic()
        self._facts_at = float("-inf")
        self.is_stopping = threading.Event()
        self.has_ended = False

    def run(self) -> bool:
        """Work until ``is_stopping`` is set; steps that are under way end without an outcome then.

        Returns False where the node's token has ended: it never comes back.
        """
        services.keep(
            self._allowed.services,
            node=self._identity.node,
            calls=self._service_calls,
            own_calls=self.calls_with,
        )
        keeper = threading.Thread(target=self._keep_reporting, name="saga-reports", daemon=True)
        keeper.start()
        pause = 0.5
        while not self.is_stopping.is_set():
            began_at = time.monotonic()
            try:
                found = self._poll()
                pause = 0.5
                # A server with many waiting agents answers at once.
                self.is_stopping.wait(max(0.0, (0 if found else 1.0) - time.monotonic() + began_at))
            except AWAY as exc:
                logger.warning("Saga is away: %s", exc)
                self.is_stopping.wait(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            except saga_client.NotAuthenticated as exc:
                logger.error("The token of this node has ended: %s", exc)
                self.has_ended = True
                self.is_stopping.set()
            except saga_client.NotAllowed as exc:
                logger.error("Saga refuses this node: %s", exc)
                self._end_all()
                self.is_stopping.wait(LONGEST_PAUSE_SECONDS)
        self._end_all()
        ends_at = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < ends_at:
            time.sleep(0.05)
        return not self.has_ended

    def _poll(self) -> bool:
        """Begin the orders that are due; return whether there was anything to do."""
        body: dict[str, Any] = {"wait": WAIT_SECONDS, "running": list(self._running)}
        if time.monotonic() - self._facts_at > FACTS_SECONDS:
            body["facts"] = facts(self._state)
            self._facts_at = time.monotonic()
        answer = self._calls.call("POST", "/agent/poll", body=body, timeout=WAIT_SECONDS + 10.0)
        self._contact_at = time.monotonic()
        for order_id in answer["cancelled"]:
            self._end(order_id)
        if answer["has_to_rotate"]:
            self._rotate()
        for envelope in answer["orders"]:
            self._begin(envelope)
        return bool(answer["orders"] or answer["cancelled"])

    def _rotate(self) -> None:
        """Keep another token before it is used; the one before is still good for a while."""
        text = self._calls.call("POST", "/agent/token", body={})["token"]
        self._identity = replace(self._identity, token=text)
        self._state.write_identity(self._identity)
        for calls in (self._calls, self._service_calls):
            calls.use_token(text)

    def calls_with(self, token: str, *, prefix: str = transport.PREFIX) -> transport.Transport:
        """Return calls of this node's Saga with a token, by its certificate and the host's proxy."""
        known = self._identity
        return transport.Transport(
            known.server,
            token=token,
            timeout=10.0,
            tls=known.tls(),
            proxy=self._allowed.proxy_for(known.server),
            prefix=prefix,
        )

    def _begin(self, envelope: str) -> None:
        try:
            order = envelopes.open_envelope(
                envelope,
                public=self._identity.public_key,
                node=self._identity.node,
                now=dt.datetime.now(dt.UTC),
            )
        except envelopes.OrderRefused as exc:
            logger.error("order refused: %s", exc)
            self.is_stopping.wait(1.0)
            return
        if order["id"] in self._running:
            return
        fence, subject = int(order["fence"]), str(order["subject"])
        if fence and not self._state.raise_fence(subject, fence):
            logger.error("order refused: %s has seen a higher fence than %d", subject, fence)
            self.is_stopping.wait(1.0)
            return
        running = Running(order)
        with self._guard:
            for other in self._running.values():
                if fence and other.order["subject"] == subject:
                    other.is_over.set()
            self._running[order["id"]] = running
        threading.Thread(target=self._do, args=(running,), name="saga-order", daemon=True).start()

    def _do(self, running: Running) -> None:
        """Do one order and report until that arrived; the orders of one subject follow each other."""
        order = running.order
        try:
            with self._lock_of(order):
                outcome = self._state.outcome_of(order["id"]) or self._outcome_of(running)
            self._deliver(order["id"], outcome, running)
        except Interrupted:
            logger.warning("order ended early: %s of %s", order["action"], order["subject"])
        finally:
            with self._guard:
                self._running.pop(order["id"], None)
                self._subjects.pop(order["id"], None)  # the lock of a probe

    def _outcome_of(self, running: Running) -> dict[str, Any]:
        order = running.order
        self._checkpoint(running)
        folder = self._state.folder / "services"
        if refusal := allowances.fault(order, self._allowed, services=folder):
            logger.error("order refused: %s", refusal)
            outcome: dict[str, Any] = {"kind": "failed", "message": refusal}
        else:
            outcome = execution.perform(
                order,
                server=self._identity.server,
                token=self._identity.token,
                checkpoint=lambda: self._checkpoint(running),
                report=running.report,
            )
        # No text of PostgreSQL holds a NUL, and the API refuses it.
        outcome = json.loads(json.dumps(outcome).replace("\\u0000", "\\ufffd"))
        if order["action"] != allowances.PROBE:
            self._state.keep_outcome(order["id"], outcome)
        return outcome

    def _lock_of(self, order: dict[str, Any]) -> threading.Lock:
        name = order["subject"] if order["fence"] else order["id"]
        with self._guard:
            return self._subjects.setdefault(name, threading.Lock())

    def _checkpoint(self, running: Running) -> None:
        is_alone = time.monotonic() - self._contact_at > CONTACT_SECONDS
        if running.is_over.is_set() or self.is_stopping.is_set() or is_alone:
            raise Interrupted

    def _deliver(self, order_id: str, outcome: dict[str, Any], running: Running) -> None:
        while not (self.is_stopping.is_set() or running.is_over.is_set()):
            try:
                self._calls.call("POST", f"/agent/orders/{order_id}/outcome", body=outcome)
            except AWAY:
                self.is_stopping.wait(1.0)
            except saga_client.ApiError as exc:
                logger.error("outcome not taken: %s", exc)
                return
            else:
                self._contact_at = time.monotonic()
                return

    def _keep_reporting(self) -> None:
        while not self.is_stopping.wait(REPORT_SECONDS):
            for order_id, running in list(self._running.items()):
                try:
                    self._report(order_id, running)
                except AWAY:
                    break
                except saga_client.SagaError as exc:
                    logger.error("report not taken: %s", exc)

    def _report(self, order_id: str, running: Running) -> None:
        body = {"progress": running.progress, "message": running.message}
        answer = self._calls.call("POST", f"/agent/orders/{order_id}", body=body)
        self._contact_at = time.monotonic()
        if not answer["is_wanted"]:
            self._end(order_id)

    def _end(self, order_id: str) -> None:
        if running := self._running.get(order_id):
            running.is_over.set()

    def _end_all(self) -> None:
        for running in list(self._running.values()):
            running.is_over.set()


def facts(state: AgentState) -> dict[str, Any]:
    """Return what the control plane shows of this host."""
    disk = shutil.disk_usage(state.folder)
    return {
        "agent": __version__,
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": psutil.cpu_count() or 0,
        "memory_bytes": psutil.virtual_memory().total,
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
    }
