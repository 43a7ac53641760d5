"""Delete what was kept for long enough."""

from __future__ import annotations

import datetime as dt
import logging

from axes.models import AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from registry import idempotency
from registry.events import log
from registry.models import EndedLogin
from registry.operations import uptime

ENDED_LOGINS_KEPT = dt.timedelta(hours=1)

logger = logging.getLogger(__name__)


def _kept() -> dt.timedelta:
    return dt.timedelta(days=settings.SAGA_EVENT_RETENTION_DAYS)


def purge_idempotency_keys() -> int:
    return idempotency.purge(now=timezone.now())


def purge_events() -> int:
    deleted = log.purge(before=timezone.now() - _kept())
    if deleted:
        logger.info("old events purged", extra={"count": deleted})
    return deleted


def purge_check_transitions() -> int:
    return uptime.purge(now=timezone.now())


def purge_sessions() -> int:
    """Delete sessions of the console that expired; Django itself deletes only those that are logged out.

    The list of logins is kept as events are, and what the provider said of its sessions for as long as
    one of those lives.
    """
    now = timezone.now()
    AccessLog.objects.filter(attempt_time__lt=now - _kept()).delete()
    outlived_at = now - dt.timedelta(seconds=settings.SESSION_COOKIE_AGE) - ENDED_LOGINS_KEPT
    EndedLogin.objects.filter(received_at__lt=outlived_at).delete()
    deleted, _ = Session.objects.filter(expire_date__lt=now).delete()
    return deleted
