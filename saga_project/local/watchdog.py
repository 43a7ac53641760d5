"""End a worker that has stopped consuming: its supervisor starts another, which consumes again.

Messages wait, threads are idle, and nothing was received: only a new connection helps then.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import signals
from celery.worker import state

from saga_project.shared import errors, redis

logger = logging.getLogger(__name__)

CHECK_EVERY_SECONDS = 5.0
CHECKS_UNTIL_STUCK = 6
STOP_SECONDS = 15.0


class Watchdog:
    """Counts checks in a row in which a message waited and nothing was received although a thread was idle.

    Checks are counted, not seconds: a process that was frozen itself gets its time after it wakes up.
    """

    def __init__(self, queues: Sequence[str], *, threads: int, end: Callable[[], None]) -> None:
        self._queues = queues
        self._threads = threads
        self._end = end
        self._received = 0
        self._received_before = 0
        self._checks = 0

    def note_received(self, **_: Any) -> None:
        self._received += 1

    def check(self) -> None:
        received, self._received_before = self._received_before, self._received
        is_consuming = self._received != received
        if is_consuming or len(state.active_requests) >= self._threads or not self._waiting():
            self._checks = 0
            return
        self._checks += 1
        if self._checks >= CHECKS_UNTIL_STUCK:
            logger.error("worker consumes nothing; ending it", extra={"queues": list(self._queues)})
            self._end()

    def _waiting(self) -> int:
        """Return how many messages wait; 0 where Redis does not answer: nothing can be consumed."""
        try:
            with redis.breaker.guard():
                pipeline = redis.connection().pipeline(transaction=False)
                for queue in self._queues:
                    pipeline.llen(queue)
                return sum(pipeline.execute())
        except errors.RedisUnavailable:
            return 0

    def run(self) -> None:
        while True:
            time.sleep(CHECK_EVERY_SECONDS)
            self.check()


def end_this_process() -> None:
    """Stop as on SIGTERM; a worker that cannot even do that is killed."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(1)


def begin(sender: Any, **_: Any) -> None:
    queues = list(sender.app.amqp.queues.consume_from)
    watchdog = Watchdog(queues, threads=sender.pool.limit or 1, end=end_this_process)
    signals.task_received.connect(watchdog.note_received, weak=False)
    threading.Thread(target=watchdog.run, name="saga-watchdog", daemon=True).start()
