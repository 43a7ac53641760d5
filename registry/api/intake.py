"""Newcomers of a web process, gathered: whoever comes while a transaction runs goes with the next one.

One thread and one connection to PostgreSQL; what is answered is committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django import db
from django.utils import timezone

from registry import operations
from registry.operations import Newcomer, Registered
from saga_project import errors

logger = logging.getLogger(__name__)

MAX_NEWCOMERS = 200

#: Called with what to answer, or None where the ordinary way must be gone.
Answer = Registered | errors.Unavailable | None
Told = Callable[[Answer], None]


class Intake:
    def __init__(self) -> None:
        self._waiting: list[tuple[Newcomer, Told]] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake")

    def register(self, newcomer: Newcomer, told: Told) -> None:
        self._waiting.append((newcomer, told))
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._running is not None:
            await self._running
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._waiting[:MAX_NEWCOMERS]
            self._waiting = self._waiting[MAX_NEWCOMERS:]
            newcomers = [newcomer for newcomer, _ in batch]
            answers = await loop.run_in_executor(self._thread, _register, newcomers)
            for (_, told), answer in zip(batch, answers, strict=True):
                told(answer)


def _register(newcomers: list[Newcomer]) -> list[Answer]:
    try:
        return list(operations.register_new(newcomers, now=timezone.now()))
    except (db.OperationalError, db.InterfaceError):
        # Asking once more would only take as long again.
        gone = errors.DatabaseUnavailable("The database is not available. Try again in a moment.")
        return [gone] * len(newcomers)
    except (db.Error, errors.SagaError) as exc:
        # Each of them is tried once more by itself, the ordinary way, which has words for what is wrong.
        logger.warning("newcomers are registered one by one", extra={"reason": str(exc)})
        return [None] * len(newcomers)
    finally:
        db.close_old_connections()
