"""The secrets that are alive for a service: its own, else the global ones; at most two of them.

The global secret does not speak for a service that an account owns, unless an administrator allowed it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.db.models import Q, Subquery

from registry.models import Service
from saga_project.shared import crypto
from webhooks.models import Configuration

PREVIOUS_SECRET_LIFE = dt.timedelta(hours=24)


@dataclasses.dataclass(frozen=True)
class Keys:
    """What a call for a service must be signed with; no secrets where none is configured."""

    secrets: list[str]
    is_timestamp_required: bool = False


def live(service_name: str, *, now: dt.datetime) -> list[str]:
    """Return the secrets that count for ``service_name``, newest first; none where none is configured."""
    return find(service_name, now=now).secrets


def find(service_name: str, *, now: dt.datetime) -> Keys:
    services = Service.objects.filter(name=service_name)
    rows = Configuration.objects.filter(Q(service=None) | Q(service__in=services.values("pk")))
    annotated = rows.annotate(owner_id=Subquery(services.values("account_id")[:1]))
    own = shared = owner_id = None
    for row in annotated:
        owner_id = row.owner_id
        if row.service_id is None:
            shared = row
        else:
            own = row
    is_required = any(row is not None and row.requires_timestamp for row in (own, shared))
    if own is not None and own.sealed_secret:
        return Keys(of(own, now=now), own.requires_timestamp)
    if shared is None or not _covers(own, owner_id=owner_id):
        return Keys([])
    return Keys(of(shared, now=now), is_required)


def _covers(own: Configuration | None, *, owner_id: int | None) -> bool:
    """Whether the global secret counts for a service with that configuration and owner."""
    return owner_id is None or (own is not None and own.accepts_global_secret)


def of(configuration: Configuration, *, now: dt.datetime) -> list[str]:
    sealed = [configuration.sealed_secret]
    until = configuration.previous_secret_until
    if configuration.sealed_previous_secret and until is not None and now < until:
        sealed.append(configuration.sealed_previous_secret)
    return [crypto.decrypt(text) for text in sealed if text]
