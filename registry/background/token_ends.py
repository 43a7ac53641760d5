"""Warn before tokens end."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from registry import events
from registry.models import Token

WARNED_BEFORE = dt.timedelta(days=14)
BATCH = 500


def warn() -> int:
    """Publish an event for each token that ends within two weeks, once; return how many there were."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        rows = Token.objects.filter(
            expires_at__gt=now,
            expires_at__lte=now + WARNED_BEFORE,
            revoked_at=None,
            warned_at=None,
            account__is_active=True,
        ).select_related("account")
        ending = list(rows.select_for_update(of=("self",), skip_locked=True).order_by("pk")[:BATCH])
        Token.objects.filter(pk__in=[token.pk for token in ending]).update(warned_at=now)
        events.publish(
            *(
                events.token_expires(
                    account=token.account.name,
                    name=token.name,
                    prefix=token.prefix,
                    expires_at=token.expires_at.isoformat() if token.expires_at else "",
                )
                for token in ending
            )
        )
    return len(ending)
