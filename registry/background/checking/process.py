"""The process that makes checks: asleep while there are none, then a loop that makes its share of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import select
import signal
import sys
from types import FrameType

import uvloop
from django import db

from registry.background.checking import sharing
from registry.background.checking.checker import ServiceChecker
from registry.operations import health_checks
from saga_project.shared import files_limit

logger = logging.getLogger(__name__)

#: Where a notification was lost (a pooler between us and PostgreSQL has none), this is how late it is.
LONGEST_SLEEP_SECONDS = 60.0
RETRY_SECONDS = 5.0


def run(*, node: str, is_general: bool) -> None:
    """Run until SIGTERM or SIGINT."""
    limit = files_limit.raise_to_most()
    gc.freeze()
    while True:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        _wait_for_checks(node, is_general=is_general)
        lease = sharing.CheckerLease(node=node, is_general=is_general)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            is_stopped = runner.run(ServiceChecker(lease, max_files=limit).run())
        if is_stopped:
            return


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _wait_for_checks(node: str, *, is_general: bool) -> None:
    """Return once there are checks to make. Until then the process sleeps in PostgreSQL's notifications."""
    while True:
        try:
            if _are_there_or_come(node, is_general=is_general):
                return
        except db.Error as exc:
            logger.warning("checks wait", extra={"reason": str(exc).strip()})
            select.select([], [], [], RETRY_SECONDS)
        finally:
            db.connections.close_all()


def _are_there_or_come(node: str, *, is_general: bool) -> bool:
    with db.connection.cursor() as cursor:
        cursor.execute(f"LISTEN {health_checks.CHANNEL}")
    if sharing.has_checks(node, is_general=is_general):
        return True
    select.select([db.connection.connection], [], [], LONGEST_SLEEP_SECONDS)
    return False
