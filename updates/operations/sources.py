"""Set up the sources of releases, and ask them; the console and the API call these alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

import registry.operations
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations import configured
from saga_project.shared import crypto
from updates import errors
from updates.models import Source
from updates.operations import settings
from updates.releases import setup

#: What of a source may be set; ``token`` is kept sealed and never given back.
SETTABLE = (
    "kind",
    "location",
    "base_url",
    "options",
    "is_enabled",
    "interval_seconds",
    "crontab",
)


def add_source(
    service_name: str, values: Mapping[str, Any], *, by: Caller | None, now: dt.datetime
) -> Source:
    """Give a service its source; a service that is not registered yet is created, as for a deployment.

    Raises InvalidSource, SourceExists, and what ownership refuses.
    """
    with transaction.atomic():
        service = Service.objects.filter(name=service_name).first()
        if service is None:
            service = registry.operations.ensure_service(service_name, by=by)
        _check_may_change(service, by=by)
        source = Source(service=service)
        _apply(source, values)
        try:
            with transaction.atomic():
                source.save(force_insert=True)
        except IntegrityError:
            known = Source.objects.get(service=service)
            raise errors.SourceExists(
                f"Service '{service_name}' has a source, which is number {known.pk}: change that one."
            ) from None
        _record(source, before=None, by=by, now=now)
    return source


def change_source(
    source: Source, values: Mapping[str, Any], *, by: Caller | None, now: dt.datetime
) -> Source:
    """Change what ``values`` names, and ask the source soon. Raises InvalidSource."""
    with transaction.atomic():
        _check_may_change(source.service, by=by)
        source = (
            Source.objects.select_for_update(of=("self",))
            .select_related("service")
            .get(pk=source.pk)
        )
        before = configured.describe(source)
        _apply(source, values)
        # What changed is tried soon.
        source.next_check_at = None
        source.save(update_fields=[*SETTABLE, "sealed_token", "next_check_at"])
        _record(source, before=before, by=by, now=now)
    return source


def remove_source(source: Source, *, by: Caller | None, now: dt.datetime) -> None:
    """Delete the source; the releases that it reported stay on record."""
    with transaction.atomic():
        _check_may_change(source.service, by=by)
        configured.delete(settings.SOURCE, source, actor=configured.actor_of(by), now=now)


def _check_may_change(service: Service, *, by: Caller | None) -> None:
    accounts.check_may_change(by, service.name, owner_id=service.account_id)


def _apply(source: Source, values: Mapping[str, Any]) -> None:
    for name in SETTABLE:
        if name in values:
            setattr(source, name, values[name])
    if "token" in values:
        source.sealed_token = crypto.encrypt(values["token"]) if values["token"] else ""
    for name, fault in setup.faults(source).items():
        raise errors.InvalidSource(f"{name}: {fault}", field=name)


def _record(
    source: Source, *, before: Mapping[str, Any] | None, by: Caller | None, now: dt.datetime
) -> None:
    actor = configured.actor_of(by)
    configured.record(settings.SOURCE, source, actor=actor, before=before, now=now)
