"""The secrets that are alive for a service: its own, else the global ones; at most two of them."""

from __future__ import annotations

import datetime as dt

from saga_project.shared import crypto
from webhooks.models import GLOBAL, Configuration

PREVIOUS_SECRET_LIFE = dt.timedelta(hours=24)


def live(service_name: str, *, now: dt.datetime) -> list[str]:
    """Return the secrets that count for ``service_name``, newest first; none where none is configured."""
    rows = Configuration.objects.filter(service_name__in={service_name, GLOBAL}).exclude(
        sealed_secret=""
    )
    by_name = {row.service_name: row for row in rows}
    row = by_name.get(service_name) or by_name.get(GLOBAL)
    return [] if row is None else of(row, now=now)


def of(configuration: Configuration, *, now: dt.datetime) -> list[str]:
    sealed = [configuration.sealed_secret]
    until = configuration.previous_secret_until
    if configuration.sealed_previous_secret and until is not None and now < until:
        sealed.append(configuration.sealed_previous_secret)
    return [crypto.decrypt(text) for text in sealed if text]
