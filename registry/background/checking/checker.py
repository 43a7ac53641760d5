"""Make a share of the checks: calls on an event loop, PostgreSQL in two threads beside it.

A database that does not answer holds up what is written, not the calls, and no call asks Redis: neither
makes an instance critical. Failures of calls during which this process itself stood still count for nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import itertools
import logging
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django import db

from registry.background import check_metrics
from registry.background.checking import calls, sharing
from registry.background.checking.probe import InstanceProbe, Key
from registry.models import CheckVerdict
from registry.operations import check_results
from registry.operations.check_results import Observation
from saga_project.shared import errors
from saga_project.shared.http_client import exchanges

logger = logging.getLogger(__name__)

SHARE_EVERY_SECONDS = 3.0
WRITE_EVERY_SECONDS = 0.5
NOTE_EVERY_SECONDS = 30.0
#: Without checks for so long, the process goes back to sleep.
IDLE_SECONDS = 30.0
TICK_SECONDS = 0.25
#: What is due within so long is begun together.
SOONEST_SECONDS = 0.02
SWEEP_EVERY_SECONDS = 2.0
STALL_SECONDS = 1.5
MAX_AT_ONCE = 4000
SPARE_FILES = 200
WRITTEN_AT_ONCE = 500

Result = TypeVar("Result")
_WELL = check_metrics.calls_total.labels("well")
_FAILED = check_metrics.calls_total.labels("failed")


class ServiceChecker:
    """``run`` returns when asked to stop, or when there is nothing to check any more."""

    def __init__(self, lease: sharing.CheckerLease, *, max_files: int) -> None:
        self.lease = lease
        self.max_files = max(20, max_files - SPARE_FILES)
        self.max_at_once = max(10, min(MAX_AT_ONCE, self.max_files // 2))
        self.probes: dict[Key, InstanceProbe] = {}
        self.kept: exchanges.KeptConnections | None = None
        self.pending: dict[Key, tuple[Observation, float]] = {}
        self.checked: set[Key] = set()
        self.calls_made = 0
        self._signature: Any = None
        self._due: list[tuple[float, int, InstanceProbe]] = []
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()
        self._stalled_at = 0.0
        self._empty_since: float | None = None
        self._sharing = ThreadPoolExecutor(1, thread_name_prefix="sharing")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="writing")

    async def run(self) -> bool:
        """Return whether a signal ended it."""
        loop = asyncio.get_running_loop()
        # Half of the files are for calls that are on their way.
        kept = self.kept = exchanges.KeptConnections(loop, limit=max(5, self.max_files // 2))
        is_stopping, is_changed = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, is_stopping.set)
        duties = [
            asyncio.create_task(duty)
            for duty in (
                self._watch_clock(),
                self._sweep(kept),
                self._schedule(is_changed),
                self._write(),
                self._note(),
                self._share(is_changed),
                is_stopping.wait(),
            )
        ]
        done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
        for task in (*duties, *self._running):
            task.cancel()
        await asyncio.gather(*duties, *self._running, return_exceptions=True)
        kept.close()
        await self._leave()
        for task in done:
            if task.exception() is not None:
                raise task.exception()  # type: ignore[misc]
        return is_stopping.is_set()

    async def _leave(self) -> None:
        await self._in_thread(self._writing, self._write_pending)
        await self._in_thread(self._sharing, self.lease.give_up)
        for threads in (self._writing, self._sharing):
            await asyncio.get_running_loop().run_in_executor(threads, db.connections.close_all)
            threads.shutdown(wait=False)

    # --- The share ---

    async def _share(self, is_changed: asyncio.Event) -> None:
        """Keep the lease and the probes; returns when there has been nothing to check for long."""
        while True:
            found = await self._in_thread(self._sharing, self._renew)
            if found is not None:
                self._take(found)
                is_changed.set()
            now = asyncio.get_running_loop().time()
            if self.probes or self._signature is None or self._signature[0][0]:
                self._empty_since = None
            elif self._empty_since is None:
                self._empty_since = now
            elif now - self._empty_since >= IDLE_SECONDS:
                return
            await asyncio.sleep(SHARE_EVERY_SECONDS)

    def _renew(self) -> dict[Key, InstanceProbe] | None:
        """Return the probes of this process where they may have changed."""
        if not self.lease.renew():
            self._signature = None
            self.pending.clear()
            self.probes = {}
        signature = self.lease.signature()
        if signature == self._signature:
            return None
        found = sharing.load(self.lease, signature[1])
        self._signature = signature
        return found

    def _take(self, found: dict[Key, InstanceProbe]) -> None:
        """Go on with probes that stay, and begin new ones spread over their intervals."""
        now = asyncio.get_running_loop().time()
        known, self.probes = self.probes, {}
        for key, probe in found.items():
            before = known.get(key)
            if before is not None and before.definition == probe.definition:
                self.probes[key] = before
            else:
                self.probes[key] = probe
                self._put(probe, now + probe.first_delay())

    # --- The calls ---

    def _put(self, probe: InstanceProbe, due_at: float) -> None:
        self._number += 1
        heapq.heappush(self._due, (due_at, self._number, probe))

    async def _schedule(self, is_changed: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            while self._due and self._due[0][0] <= now and len(self._running) < self.max_at_once:
                due_at, _, probe = heapq.heappop(self._due)
                if self.probes.get(probe.key) is probe:
                    self._begin(probe, due_at=due_at, now=now)
            is_full = len(self._running) >= self.max_at_once
            pause = min(1.0, max(SOONEST_SECONDS, self._due[0][0] - now)) if self._due else 1.0
            is_changed.clear()
            if is_full:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                async with asyncio.timeout(pause):
                    await is_changed.wait()
            except TimeoutError:
                pass

    def _begin(self, probe: InstanceProbe, *, due_at: float, now: float) -> None:
        delay = probe.next_delay(chance=random.random())  # noqa: S311
        self._put(probe, max(due_at + delay, now + delay / 2))
        check_metrics.lag_seconds.observe(now - due_at)
        if probe.is_running:
            return  # a timeout longer than the interval: the next one comes in its time
        probe.is_running = True
        task = asyncio.create_task(self._make(probe))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _make(self, probe: InstanceProbe) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            finding = await calls.make(probe.definition, kept=self.kept)
        except Exception:
            logger.exception("check failed", extra={"check": probe.key[0]})
            return
        finally:
            probe.is_running = False
        now = loop.time()
        self.calls_made += 1
        (_WELL if finding.is_well else _FAILED).inc()
        if not finding.is_well:
            await asyncio.sleep(2 * TICK_SECONDS)  # until the watch has seen a standstill, too
            if self._stood_still(began_at, now, probe):
                return
        self.checked.add(probe.key)
        is_new = probe.evaluate(finding, now=now)
        if probe.notes_certificate(finding, now=now, wall_clock=time.time()) or is_new:
            self.pending[probe.key] = (
                Observation(
                    check_id=probe.key[0],
                    service_id=probe.definition.service_id,
                    instance_id=probe.key[1],
                    verdict=probe.verdict,
                    reason=probe.reason,
                    age_seconds=0.0,
                    certificate_expires_at=probe.certificate_expires_at,
                ),
                now,
            )

    def _stood_still(self, began_at: float, now: float, probe: InstanceProbe) -> bool:
        """Return whether this process slept during a call, so that its failure says nothing."""
        is_late = now - began_at > probe.definition.timeout_seconds + STALL_SECONDS
        return is_late or self._stalled_at >= began_at

    async def _sweep(self, kept: exchanges.KeptConnections) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
            kept.sweep()

    async def _watch_clock(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            if now - last > TICK_SECONDS + STALL_SECONDS:
                self._stalled_at = now
            last = now

    # --- What is written ---

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            is_written: bool | None = True
            while self.pending and is_written:
                is_written = await self._in_thread(self._writing, self._write_pending)

    def _write_pending(self) -> bool:
        """Write new verdicts; those that could not be written stay, unless there is a newer one.

        Returns whether it may go on with others at once.
        """
        taken = dict(itertools.islice(list(self.pending.items()), WRITTEN_AT_ONCE))
        now = time.monotonic()
        try:
            check_results.record(
                [
                    dataclasses.replace(seen, age_seconds=max(0.0, now - at))
                    for seen, at in taken.values()
                ],
                checker=self.lease.token,
            )
        except check_results.NoChecker:
            # Other checkers have the checks; the lease is acquired again, with the verdicts on record.
            self.pending.clear()
            return False
        for key, known in taken.items():
            if self.pending.get(key) is known:
                del self.pending[key]
        return True

    async def _note(self) -> None:
        while True:
            await asyncio.sleep(NOTE_EVERY_SECONDS)
            await self._in_thread(self._writing, self._note_checked)

    def _note_checked(self) -> None:
        checked, self.checked = self.checked, set()
        now = time.monotonic()
        seen = [
            (key[0], key[1], now - probe.checked_at)
            for key in sorted(checked)
            if (probe := self.probes.get(key)) and probe.verdict != CheckVerdict.UNKNOWN
        ]
        if seen:
            check_results.note_checked(seen)

    async def _in_thread(
        self, threads: ThreadPoolExecutor, call: Callable[[], Result]
    ) -> Result | None:
        """Return what the call returns; None where PostgreSQL or Redis did not answer."""

        def guarded() -> Result | None:
            try:
                db.close_old_connections()
                return call()
            except (db.Error, errors.Unavailable) as exc:
                logger.warning("checks are not written", extra={"reason": str(exc).strip()})
                db.connections.close_all()
                return None

        return await asyncio.get_running_loop().run_in_executor(threads, guarded)
