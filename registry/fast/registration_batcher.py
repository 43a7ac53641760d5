"""Batched registrations: those that arrive while a transaction runs share the next one.

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
from registry.operations import NewRegistration, Registered
from saga_project.shared import errors

logger = logging.getLogger(__name__)

MAX_BATCH = 200
KEEP_SECONDS = 1.0

#: Called with the answer, or None where Django must handle the request.
Answer = Registered | errors.Unavailable | None
Callback = Callable[[Answer], None]


class RegistrationBatcher:
    def __init__(self) -> None:
        self._waiting: list[tuple[NewRegistration, Callback]] = []
        self._running: asyncio.Task[None] | None = None
        self._keeping: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registrations")

    def register(self, new_registration: NewRegistration, callback: Callback) -> None:
        self._waiting.append((new_registration, callback))
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._running is not None:
            await self._running
        if self._keeping is not None:
            self._keeping.cancel()
            self._thread.submit(_give_back)
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gather()
            batch = self._waiting[:MAX_BATCH]
            self._waiting = self._waiting[MAX_BATCH:]
            new_registrations = [new_registration for new_registration, _ in batch]
            answers = await loop.run_in_executor(self._thread, _register, new_registrations)
            for (_, callback), answer in zip(batch, answers, strict=True):
                _answer(callback, answer)
            self._keep_connection()

    def _keep_connection(self) -> None:
        """Keep the connection for the next batch: a new one costs as much as a few registrations."""
        if self._keeping is not None:
            self._keeping.cancel()
        loop = asyncio.get_running_loop()
        self._keeping = loop.call_later(KEEP_SECONDS, self._thread.submit, _give_back)

    async def _gather(self) -> None:
        """Wait as long as each turn of the event loop brings more: a transaction for many costs the least."""
        count = 0
        while len(self._waiting) > count:
            count = len(self._waiting)
            await asyncio.sleep(0)


def _answer(callback: Callback, answer: Answer) -> None:
    """Answer one request; an error there does not affect the others."""
    try:
        callback(answer)
    except Exception:
        logger.exception("a registration could not be answered")


def _give_back() -> None:
    """Give this thread's connection back to the pool."""
    db.connection.close()


def _register(new_registrations: list[NewRegistration]) -> list[Answer]:
    try:
        return list(operations.register_new(new_registrations, now=timezone.now()))
    except (db.OperationalError, db.InterfaceError):
        # Another attempt would only take as long again.
        _give_back()
        refusal = errors.DatabaseUnavailable(
            "The database is not available. Try again in a moment."
        )
        return [refusal] * len(new_registrations)
    except (db.Error, errors.SagaError) as exc:
        # Django handles each of them by itself, and describes what is wrong.
        logger.warning("new services are registered one by one", extra={"reason": str(exc)})
        return [None] * len(new_registrations)
