"""Run the time-critical loops in a process of their own: ``saga server sweep``.

Nothing here waits for a broker, for another loop or for a free worker. Each duty has a thread; one process of
all hosts is elected by a lease in PostgreSQL, and another takes over where that one ends without goodbye.
Celery was used before: a stall of Redis during an acknowledgement stopped its consumer for ever.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django import db
from django.conf import settings
from django.utils import timezone

from registry.background import (
    expiry,
    flush,
    missed_heartbeats,
    reconciliation,
    retention,
    token_ends,
    work_slots,
)
from saga_project.local import queues, workers
from saga_project.shared import errors, metrics
from updates.models import Job, Target
from updates.operations import uploads
from updates.rollouts import measuring, nodes, recovery, watching
from webhooks.outbound import worker
from webhooks.outbound.alerts import sweep as alerts

logger = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
WATCH_EVERY_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.9
STOP_SECONDS = 10.0
#: A duty that is this seldom keeps no connection to PostgreSQL in between.
SELDOM_SECONDS = 10.0
#: A connection that works is asked after so long whether it still does, and takes writes.
CHECK_SECONDS = 5.0
LONGEST_FIRST_WAIT_SECONDS = 60.0
HUNG_STATUS = 70


@dataclass(frozen=True)
class PeriodicCall:
    """A periodic call; a run that lasts longer than ``limit_seconds`` ends the process."""

    name: str
    call: Callable[[], object]
    every_seconds: float
    limit_seconds: float = 60.0


def purge() -> None:
    retention.purge_idempotency_keys()
    retention.purge_events()
    retention.purge_check_transitions()
    retention.purge_sessions()
    uploads.purge(now=timezone.now())


class LiveJobs:
    """Whether there is any job to look after; asked once a second for all duties that do so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        query = Job.objects.filter(Job.LOCKING).values("pk")[:1].query
        self._statement = query.sql_with_params()
        self._asked_at = -math.inf
        self._are_any = False

    def are_any(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now - self._asked_at >= LOOK_EVERY_SECONDS:
                with db.connection.cursor() as cursor:
                    cursor.execute(*self._statement)
                    self._are_any = cursor.fetchone() is not None
                self._asked_at = now
            return self._are_any

    def then(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return what calls ``call`` where there are some."""
        return lambda: self.are_any() and call()


def bound_queues() -> None:
    """Bound the queues of this host and of every node that a target names."""
    named = Target.objects.exclude(node="").values_list("node", flat=True).distinct()
    queues.bound({*queues.local(), *map(nodes.queue_of, named)})


def periodic_calls() -> list[PeriodicCall]:
    """Return what the elected process does."""
    jobs = LiveJobs()
    return [
        PeriodicCall("registry.sweep", expiry.sweep, 1.0),
        PeriodicCall("updates.sweep_jobs", jobs.then(recovery.sweep), 2.0),
        PeriodicCall("updates.watch_jobs", jobs.then(watching.wake_due), 1.0),
        PeriodicCall("updates.measure_jobs", jobs.then(measuring.wake_due), 1.0),
        PeriodicCall("registry.flush", flush.flush_heartbeats, 5.0),
        PeriodicCall("webhooks.wake", worker.wake, 5.0),
        PeriodicCall("webhooks.alerts", alerts.sweep, 2.0),
        PeriodicCall("queues.bound", bound_queues, 30.0),
        PeriodicCall("registry.reconcile", reconciliation.reconcile, 20.0, limit_seconds=300.0),
        PeriodicCall(
            "registry.count_misses",
            missed_heartbeats.count_misses,
            float(settings.REGISTRY_HEARTBEAT_MONITOR_INTERVAL),
            limit_seconds=300.0,
        ),
        PeriodicCall("registry.warn_of_tokens", token_ends.warn, 600.0),
        PeriodicCall("registry.purge", purge, 3600.0, limit_seconds=3600.0),
    ]


@dataclass
class Election:
    """The lease on work of one process among all hosts: ``keep`` acquires or renews it, often enough."""

    work: str = work_slots.SWEEPS
    seconds: float = LEASE_SECONDS
    slot: work_slots.Slot | None = None
    leads_until: float = 0.0

    @property
    def is_leading(self) -> bool:
        return time.monotonic() < self.leads_until

    def keep(self) -> None:
        asked_at = time.monotonic()
        if self.slot is None or not work_slots.renew(self.slot, seconds=self.seconds):
            self.slot = work_slots.acquire(self.work, seconds=self.seconds)
            if self.slot is not None:
                logger.info("elected", extra={"work": self.work})
        if self.slot is not None:
            self.leads_until = asked_at + self.seconds

    def give_up(self) -> None:
        self.leads_until = 0.0
        if self.slot is not None:
            work_slots.give_up(self.slot)


@dataclass
class Loop:
    """One duty and its thread; what fails is logged once, and the next run comes in its time."""

    periodic_call: PeriodicCall
    is_allowed: Callable[[], bool]
    is_stopping: threading.Event
    began_at: float | None = None
    failure: str = ""
    checked_at: float = -math.inf
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.run, name=self.periodic_call.name, daemon=True)

    @property
    def is_hung(self) -> bool:
        began_at = self.began_at
        return (
            began_at is not None and time.monotonic() - began_at > self.periodic_call.limit_seconds
        )

    def run(self) -> None:
        every = self.periodic_call.every_seconds
        due_at = time.monotonic()
        if every > SELDOM_SECONDS:
            due_at += min(every, LONGEST_FIRST_WAIT_SECONDS)
        while not self.is_stopping.wait(max(0.0, due_at - time.monotonic())):
            due_at = max(due_at + every, time.monotonic())
            if self.is_allowed():
                self.run_once()
        db.connections.close_all()

    def run_once(self) -> None:
        self.began_at = begun = time.monotonic()
        state = "failure"
        try:
            if begun - self.checked_at >= CHECK_SECONDS:
                self.checked_at = begun
                db.close_old_connections()
            self.periodic_call.call()
        except (db.Error, errors.Unavailable) as exc:
            self._report(str(exc).strip())
        except Exception:
            logger.exception("duty failed", extra={"duty": self.periodic_call.name})
        else:
            state = "success"
            self._report("")
        finally:
            self.began_at = None
        if state == "failure" or self.periodic_call.every_seconds >= SELDOM_SECONDS:
            db.connections.close_all()
        metrics.tasks_total.labels(self.periodic_call.name, state).inc()
        metrics.task_seconds.labels(self.periodic_call.name).observe(time.monotonic() - begun)

    def _report(self, failure: str) -> None:
        """Log an outage in one line when it begins and in one when it ends."""
        if failure and not self.failure:
            logger.warning("duty waits", extra={"duty": self.periodic_call.name, "reason": failure})
        elif self.failure and not failure:
            logger.warning("duty runs again", extra={"duty": self.periodic_call.name})
        self.failure = failure


def run() -> None:
    """Run until SIGTERM or SIGINT, then give up the lease."""
    is_stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_stopping.set())
    election = Election()
    name = f"sweeps@{socket.gethostname()}"
    always = [
        PeriodicCall("sweeps.lease", election.keep, 1.0, limit_seconds=30.0),
        PeriodicCall("sweeps.life", lambda: workers.note_life(name), 2.0),
    ]
    loops = [Loop(periodic_call, lambda: True, is_stopping) for periodic_call in always]
    loops += [
        Loop(periodic_call, lambda: election.is_leading, is_stopping)
        for periodic_call in periodic_calls()
    ]
    workers.serve_metrics()
    gc.freeze()
    for loop in loops:
        loop.thread.start()
    _watch(loops, is_stopping)
    _stop(loops)
    election.give_up()


def _watch(loops: Sequence[Loop], is_stopping: threading.Event) -> None:
    """Return when asked to stop; ends the process where a duty hangs, so that another one takes over."""
    while not is_stopping.wait(WATCH_EVERY_SECONDS):
        for loop in loops:
            if loop.is_hung or not loop.thread.is_alive():
                logger.critical(
                    "duty hangs; ending this process", extra={"duty": loop.periodic_call.name}
                )
                os._exit(HUNG_STATUS)


def _stop(loops: Sequence[Loop]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for loop in loops:
        loop.thread.join(max(0.0, deadline - time.monotonic()))
