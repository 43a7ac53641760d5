"""How long open mode has been served. It is meant for a day of development, not for operation."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from pathlib import Path

from django.conf import settings
from django.utils import timezone

logger = logging.getLogger(__name__)

LONG = dt.timedelta(days=1)


def note_start() -> None:
    """Remember when open mode began, over restarts; forget it in any other mode."""
    if settings.SAGA_AUTH != "open":
        _marker().unlink(missing_ok=True)
    elif not _marker().exists():
        _marker().touch()


def is_long(*, now: dt.datetime) -> bool:
    """Return whether open mode has been served for longer than a day."""
    began_at = _began_at()
    return began_at is not None and now - began_at > LONG


async def warn() -> None:
    """Write a warning once a day while open mode is served for longer than a day, until cancelled."""
    while (began_at := _began_at()) is not None:
        if is_long(now=timezone.now()):
            logger.warning(
                "SAGA_AUTH=open is served for longer than a day: local programs, and proxies that add no"
                " header, may deploy without a token. Set SAGA_AUTH=local-token or required.",
                extra={"since": began_at.isoformat()},
            )
            await asyncio.sleep(LONG.total_seconds())
        else:
            await asyncio.sleep((began_at + LONG - timezone.now()).total_seconds() + 1)


def _marker() -> Path:
    return Path(settings.SAGA_DATA_DIR) / "open-since"


def _began_at() -> dt.datetime | None:
    if settings.SAGA_AUTH != "open":
        return None
    try:
        return dt.datetime.fromtimestamp(_marker().stat().st_mtime, tz=dt.UTC)
    except FileNotFoundError:
        return None
