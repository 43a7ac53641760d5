"""Delete what was kept for long enough."""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from registry import idempotency
from registry.events import log
from registry.operations import uptime

logger = logging.getLogger(__name__)


def purge_idempotency_keys() -> int:
    return idempotency.purge(now=timezone.now())


def purge_events() -> int:
    kept = dt.timedelta(days=settings.SAGA_EVENT_RETENTION_DAYS)
    deleted = log.purge(before=timezone.now() - kept)
    if deleted:
        logger.info("old events purged", extra={"count": deleted})
    return deleted


def purge_check_transitions() -> int:
    return uptime.purge(now=timezone.now())


def purge_sessions() -> int:
    """Delete sessions of the console that expired; Django itself deletes only those that are logged out."""
    deleted, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    return deleted
