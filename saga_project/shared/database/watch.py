"""Watches whether PostgreSQL answers, so that no request waits for one that does not.

A server that is frozen, or behind a network that swallows everything, accepts what it is sent and never
answers; no timeout of its own can help. So each web process asks it, over a connection of its own. As long as
no answer comes, requests of this process that wait for PostgreSQL fail, and new ones fail at once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

logger = logging.getLogger(__name__)

ASK_EVERY_SECONDS = 0.5
NOTICE_SECONDS = 0.1
PATIENCE = 12  # so many times nothing within NOTICE_SECONDS: a pause of our own is no silence of PostgreSQL's

_is_silent = threading.Event()
_is_answering = threading.Event()
_is_read_only = threading.Event()


def is_silent() -> bool:
    """Whether PostgreSQL left this process's last probe unanswered; False without a watch."""
    return _is_silent.is_set()


def is_answering() -> bool:
    """Whether PostgreSQL answered this process's last probe; False without a watch."""
    return _is_answering.is_set()


def is_read_only() -> bool:
    """Whether PostgreSQL said that it takes no writes when this process asked last."""
    return _is_read_only.is_set()


class DatabaseSilent(psycopg.OperationalError):
    def __init__(self) -> None:
        super().__init__("PostgreSQL does not answer")


class WatchedConnection(psycopg.Connection[Any]):
    """Stops waiting, and is closed, as soon as PostgreSQL is known to be silent."""

    def wait(
        self, gen: PQGen[RV], interval: float = NOTICE_SECONDS, timeout: float | None = None
    ) -> RV:
        try:
            return super().wait(_until(self._is_hopeless, gen), interval, timeout)
        except DatabaseSilent:
            self.pgconn.finish()
            raise

    def _is_hopeless(self, silences: int) -> bool:
        return is_silent()


class _AskingConnection(WatchedConnection):
    def _is_hopeless(self, silences: int) -> bool:
        return silences >= PATIENCE


def _until(is_hopeless: Callable[[int], bool], gen: PQGen[RV]) -> PQGen[RV]:
    """Hand everything through; each time that nothing came for an interval, ask whether it still may."""
    silences = 0
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            silences = 0 if ready else silences + 1
            if silences and is_hopeless(silences):
                raise DatabaseSilent
            wanted = gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result


class DatabaseWatch:
    """Asks in a thread of its own; ``silenced`` is called when an outage has begun."""

    def __init__(self, parameters: dict[str, Any], *, silenced: Callable[[], None]) -> None:
        self._parameters = parameters
        self._silenced = silenced
        self._connection: _AskingConnection | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(ASK_EVERY_SECONDS):
            try:
                self._ask()
            except psycopg.Error as exc:
                self._disconnect()
                self._begin_outage(str(exc).strip())
            else:
                self._note_answer()
        self._disconnect()
        _is_silent.clear()
        _is_answering.clear()
        _is_read_only.clear()

    def _begin_outage(self, reason: str) -> None:
        if not is_silent():
            logger.warning("database does not answer", extra={"reason": reason})
            _is_answering.clear()
            _is_silent.set()
            self._silenced()

    def _note_answer(self) -> None:
        if is_silent():
            logger.warning("database answers again")
        _is_silent.clear()
        _is_answering.set()

    def _ask(self) -> None:
        """A connection that broke is no outage yet, but that there is no new one is."""
        if self._connection is not None:
            try:
                self._ask_for_writes(self._connection)
            except DatabaseSilent:
                raise
            except psycopg.Error:
                self._disconnect()
            else:
                return
        self._connection = _AskingConnection.connect(**self._parameters, autocommit=True)
        self._ask_for_writes(self._connection)

    def _ask_for_writes(self, asking: _AskingConnection) -> None:
        """Note whether the server takes writes; where it takes none, the next question goes to a new one.

        A primary that became a standby keeps its connections. New ones find the primary where
        ``DATABASE_URL`` names several hosts and ``target_session_attrs=read-write``.
        """
        row = asking.execute("SHOW transaction_read_only").fetchone()
        if row == ("off",):
            _is_read_only.clear()
            return
        self._disconnect()
        if not is_read_only():
            logger.warning("database is read-only")
            _is_read_only.set()
            self._silenced()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
