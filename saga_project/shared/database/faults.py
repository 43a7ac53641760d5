"""Which of PostgreSQL's errors pass by themselves, and the one retry that they get."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, connection
from psycopg.pq import TransactionStatus

logger = logging.getLogger(__name__)

SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
READ_ONLY = "25006"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def sqlstate(exc: BaseException) -> str:
    """Return PostgreSQL's code of an error that Django wrapped; empty where there is none."""
    return getattr(exc.__cause__, "sqlstate", None) or getattr(exc, "sqlstate", None) or ""


def is_read_only(exc: BaseException) -> bool:
    """Whether a write reached a server that takes none, as a standby does; Django calls it InternalError."""
    return sqlstate(exc) == READ_ONLY


def is_conflict(exc: BaseException) -> bool:
    """Whether PostgreSQL ended the transaction in favour of another one; the same again may succeed."""
    return sqlstate(exc) in (SERIALIZATION_FAILURE, DEADLOCK)


def can_retry(exc: BaseException) -> bool:
    """Whether the failed work can be done again here: what it did is rolled back, to a savepoint at least."""
    if not is_conflict(exc):
        return False
    session = connection.connection
    return session is None or session.info.transaction_status != TransactionStatus.INERROR


def retry_conflict(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run an operation once more where a deadlock or serialization failure ended its transaction."""

    @functools.wraps(work)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return work(*args, **kwargs)
        except DatabaseError as exc:
            if not can_retry(exc):
                raise
            logger.warning("retried after a conflict", extra={"sqlstate": sqlstate(exc)})
        return work(*args, **kwargs)

    return run
