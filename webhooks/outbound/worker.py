"""Send what is due to many receivers at once.

One thread uses the database; the threads of the queues only call receivers. Each receiver has a queue, so
that a receiver that hangs blocks only its own two threads.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from registry.background import work_slots
from saga_project.shared import stopping, wakeups
from webhooks.models import Delivery
from webhooks.outbound import attempts, claims, sender

MAX_THREADS = 64
DRAIN_SECONDS = 30.0
POLL_SECONDS = 0.05
GATHER_SECONDS = 0.01
MAX_DRAINS = 2
SLOT_SECONDS = 15.0
SLOT_RENEWED_EVERY_SECONDS = 4.0

Results = queue.SimpleQueue[sender.Sent | claims.ClaimedDelivery]


class ReceiverQueue:
    """One receiver's queue in this process, and the threads that empty it: as many as it has places."""

    def __init__(self, *, places: int, results: Results) -> None:
        self.places = places
        self.results = results
        self.waiting: deque[claims.ClaimedDelivery] = deque()
        self.unrecorded = 0
        self.running = 0
        self.lock = threading.Lock()

    @property
    def wanted(self) -> int:
        """How many more deliveries keep its threads busy."""
        return claims.BATCH - self.unrecorded if self.unrecorded < claims.BATCH // 2 else 0

    def feed(
        self, claimed_deliveries: Sequence[claims.ClaimedDelivery], *, pool: ThreadPoolExecutor
    ) -> None:
        with self.lock:
            self.waiting.extend(claimed_deliveries)
            self.unrecorded += len(claimed_deliveries)
            starting = min(self.places - self.running, len(self.waiting))
            self.running += starting
        for _ in range(starting):
            pool.submit(self.work)

    def take(self) -> claims.ClaimedDelivery | None:
        """Return the next delivery; None ends the thread, under the lock that starts threads."""
        with self.lock:
            if self.waiting:
                return self.waiting.popleft()
            self.running -= 1
            return None

    def work(self) -> None:
        """Send what waits; hand back unsent what has waited for so long that its lease might end.

        A process that was asked to stop hands back all that it did not begin.
        """
        while (claimed_delivery := self.take()) is not None:
            is_late = stopping.has_begun() or time.monotonic() > claimed_delivery.begin_until
            self.results.put(claimed_delivery if is_late else sender.send(claimed_delivery))


class Drain:
    """Sends what is due; ``serve`` needs a slot, which it renews, ``finish`` waits without one."""

    def __init__(self, pool: ThreadPoolExecutor, *, slot: work_slots.Slot | None = None) -> None:
        self.pool = pool
        self.slot = slot
        self.renewed_at = time.monotonic()
        self.results: Results = queue.SimpleQueue()
        self.queues: dict[str, ReceiverQueue] = {}
        self.ends_at = time.monotonic() + DRAIN_SECONDS
        self.claimed_at = 0.0
        self.sent_count = 0

    def serve(self) -> None:
        """Claim and send until nothing is due, for at most ``DRAIN_SECONDS``."""
        self.claim()
        while self.queues and time.monotonic() < self.ends_at and self.has_slot():
            if stopping.has_begun():
                return
            self.collect()
            if self.is_hungry():
                self.claim()

    def has_slot(self) -> bool:
        """Renew the slot in good time; False where it was lost while this process stood still."""
        if self.slot is None or time.monotonic() - self.renewed_at < SLOT_RENEWED_EVERY_SECONDS:
            return self.slot is not None
        self.renewed_at = time.monotonic()
        return work_slots.renew(self.slot, seconds=SLOT_SECONDS)

    def finish(self) -> int:
        """Wait for what is on its way, and return how much was sent."""
        while self.queues:
            self.collect()
        return self.sent_count

    def is_hungry(self) -> bool:
        is_time = time.monotonic() - self.claimed_at >= POLL_SECONDS
        return is_time or not self.queues or any(queue.wanted for queue in self.queues.values())

    def claim(self) -> None:
        wanted = {receiver: queue.wanted for receiver, queue in self.queues.items()}
        room = MAX_THREADS // claims.PLACES - len(self.queues)
        self.claimed_at = time.monotonic()
        for places, claimed_deliveries in claims.claim(queues=wanted, room=room):
            queue = self.queues.setdefault(
                claimed_deliveries[0].receiver, ReceiverQueue(places=places, results=self.results)
            )
            queue.feed(claimed_deliveries, pool=self.pool)

    def collect(self) -> None:
        results = list(_take(self.results))
        sent = [result for result in results if isinstance(result, sender.Sent)]
        unsent = [result for result in results if isinstance(result, claims.ClaimedDelivery)]
        attempts.record(sent)
        for claimed_delivery in unsent:
            claims.release(claimed_delivery)
        self.sent_count += len(sent)
        for claimed_delivery in [*unsent, *(one.claimed_delivery for one in sent)]:
            queue = self.queues[claimed_delivery.receiver]
            queue.unrecorded -= 1
            if not queue.unrecorded:
                del self.queues[claimed_delivery.receiver]


def _take(results: Results) -> Iterator[sender.Sent | claims.ClaimedDelivery]:
    """Yield what is there, after a moment's wait for the first; few records of many are cheaper."""
    with contextlib.suppress(queue.Empty):
        yield results.get(timeout=POLL_SECONDS)
        time.sleep(GATHER_SECONDS)
        while True:
            yield results.get_nowait()


def wake() -> None:
    """Wake a worker where a delivery is due: retries, and what a lost message or a dead worker left."""
    if Delivery.objects.due().exists():
        wakeups.wake("webhooks.deliver")


def run() -> int:
    """Send what is due and return how much it was; 0 where enough drains are at work already."""
    slot = work_slots.acquire(work_slots.DELIVERIES, seconds=SLOT_SECONDS, places=MAX_DRAINS)
    if slot is None:
        return 0
    with ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="saga-deliver") as pool:
        drain = Drain(pool, slot=slot)
        try:
            drain.serve()
        finally:
            work_slots.give_up(slot)
        if drain.queues:
            # Time is up. Another goes on at once, whatever this one still waits for.
            wakeups.wake("webhooks.deliver")
        return drain.finish()
