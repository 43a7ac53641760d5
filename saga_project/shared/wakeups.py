"""Wake a worker once the transaction has committed; the rows are the truth, this only saves waiting.

Tasks are named, not imported: what enqueues lies below what the task will call.
"""

from __future__ import annotations

import logging
from functools import partial

import celery
from django.db import transaction
from kombu import exceptions as kombu_exceptions

logger = logging.getLogger(__name__)


#: A message that no worker took for so long is dropped; the sweep sends another.
EXPIRES_SECONDS = 60


def wake(task: str, *ids: int | str, queue: str | None = None) -> None:
    """Send the task after the commit. A lost message is made good by the sweep that looks for its rows."""
    transaction.on_commit(partial(_send, task, ids, queue))


def _send(task: str, ids: tuple[int | str, ...], queue: str | None) -> None:
    try:
        celery.current_app.send_task(task, args=list(ids), queue=queue, expires=EXPIRES_SECONDS)
    except kombu_exceptions.OperationalError:
        logger.warning("broker unavailable, a sweep will do it", extra={"task": task})
