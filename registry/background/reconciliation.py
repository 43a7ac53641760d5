"""Make presence equal to PostgreSQL again."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from registry import presence
from registry.directory import projection


def reconcile(*, within: dt.timedelta = dt.timedelta(minutes=2)) -> int:
    """Show again what changed lately: a process that was killed between commit and Redis left it unseen."""
    presence.ensure_filled(projection.refill)
    return projection.refill(changed_since=timezone.now() - within)
