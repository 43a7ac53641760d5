"""A service's endpoints and secret."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q

import registry.operations
from registry import events
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service
from registry.operations.configured import actor_of
from saga_project.shared import auditing, crypto, http_client, transitions
from saga_project.shared.errors import NotAllowed
from updates.history import audit
from webhooks import errors, event_constructors, signatures, signing_secrets
from webhooks.models import (
    MAX_CHANNEL_LENGTH,
    Configuration,
    Delivery,
    Endpoint,
    receiver_of,
)
from webhooks.operations import endpoint_secrets
from webhooks.outbound.alerts import defaults
from webhooks.outbound.approval_links import APPROVER, APPROVERS
from webhooks.outbound.channels import mail

MAX_ENDPOINTS = 100
MAX_SECRET_LENGTH = 512
MIN_KEY_BYTES = 16
CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


class Unset(enum.Enum):
    UNSET = "keep"


UNSET = Unset.UNSET
Secret = str | Unset | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigurationChange:
    """What a call sets; None, or ``UNSET`` for the secret, leaves a field as it is."""

    endpoints: Mapping[str, str] | None = None
    secret: Secret = UNSET
    accepts_global_secret: bool | None = None
    requires_timestamp: bool | None = None
    makes_default_rules: bool = True


def evaluate(change: ConfigurationChange) -> None:
    """Raise InvalidRequest unless this can be configured; a URL's address is checked when it is called."""
    if dataclasses.replace(change, makes_default_rules=True) == ConfigurationChange():
        raise errors.NothingToConfigure("Send 'endpoints', 'secret', or both.")
    if isinstance(change.secret, str):
        check_secret(change.secret)
    endpoints = change.endpoints or {}
    if len(endpoints) > MAX_ENDPOINTS:
        raise errors.InvalidChannel(f"There are at most {MAX_ENDPOINTS} endpoints.")
    for channel, url in endpoints.items():
        if len(channel) > MAX_CHANNEL_LENGTH or CHANNEL.fullmatch(channel) is None:
            raise errors.InvalidChannel(
                f"A channel's name has 1-{MAX_CHANNEL_LENGTH} characters out of A-Z a-z 0-9 . _ -,"
                " starting with a letter or digit.",
                field="endpoints",
            )
        check_address(url, field=f"endpoints.{channel}")


def check_address(url: str, *, field: str) -> None:
    """Raise InvalidRequest unless a channel may lead there: a URL, or ``mailto:`` with addresses."""
    if not url.startswith(mail.SCHEME):
        http_client.check_url(url, field=field)
        return
    try:
        mail.addresses(url)
    except ValueError as exc:
        raise errors.InvalidChannel(str(exc), field=field) from None


def check_secret(secret: str) -> None:
    """Raise InvalidSecret unless messages can be signed with this."""
    if len(secret) > MAX_SECRET_LENGTH:
        raise errors.InvalidSecret(
            f"A secret has at most {MAX_SECRET_LENGTH} characters.", field="secret"
        )
    try:
        key = signatures.key_of(secret)
    except ValueError as exc:
        raise errors.InvalidSecret(str(exc), field="secret") from None
    if len(key) < MIN_KEY_BYTES:
        raise errors.InvalidSecret(
            f"A secret has at least {MIN_KEY_BYTES} bytes; this one has {len(key)}."
            " Make one with: openssl rand -hex 32",
            field="secret",
        )


def configure(
    service_name: str,
    *,
    endpoints: Mapping[str, str] | None,
    secret: Secret,
    now: dt.datetime,
    by: Caller | None = None,
) -> Configuration:
    """Set what is given and keep the rest; an empty name is the global configuration."""
    change = ConfigurationChange(endpoints=endpoints, secret=secret)
    evaluate(change)
    with transaction.atomic(durable=True):
        service = registry.operations.ensure_service(service_name, by=by) if service_name else None
        return put(service, change, by=by, now=now)


def put(
    service: Service | None, change: ConfigurationChange, *, by: Caller | None, now: dt.datetime
) -> Configuration:
    """Apply a checked change inside the caller's transaction; without a service, to the global configuration.

    Raises ServiceOwned, and GlobalConfigurationOwned where an administrator is asked for.
    """
    if service is not None:
        # The lock orders this after a registration that takes the service over.
        service = Service.objects.select_for_update(no_key=True).get(pk=service.pk)
    configuration, _ = Configuration.objects.select_for_update(
        of=("self",), no_key=True
    ).get_or_create(service=service, defaults={"configured_at": now})
    configuration.service = service
    _check_may_change(configuration, change, by)
    before = describe(configuration)
    if service is None and by is not None:
        administer(configuration, now=now)
    if change.secret is not UNSET:
        _set_secret(configuration, change.secret, now=now)
    if change.accepts_global_secret is not None:
        configuration.accepts_global_secret = change.accepts_global_secret
    if change.requires_timestamp is not None:
        configuration.requires_timestamp = change.requires_timestamp
    configuration.configured_at = now
    configuration.save()
    if change.endpoints is not None:
        _replace_endpoints(configuration, change.endpoints, now=now)
    if change.endpoints and change.makes_default_rules:
        defaults.ensure()
    notify(configuration)
    record(configuration, before=before, by=by, now=now)
    return configuration


def may_configure(configuration: Configuration, *, by: Caller | None) -> bool:
    """Whether the caller owns what is configured; the global configuration is the administrators'.

    Until one has set it, a caller without a token, which only open mode accepts, may set it too.
    """
    try:
        check_may_configure(configuration, by=by)
    except NotAllowed:
        return False
    return True


def check_may_configure(configuration: Configuration, *, by: Caller | None) -> None:
    """Raise ServiceOwned or GlobalConfigurationOwned unless ``may_configure`` holds."""
    service = configuration.service
    if service is not None:
        accounts.check_may_change(by, service.name, owner_id=service.account_id)
        return
    is_allowed = not configuration.is_administered if by is None else by.is_admin
    if not is_allowed:
        raise errors.GlobalConfigurationOwned(
            "The global configuration concerns all services: send a token with the scope 'admin:registry'."
        )


def _check_may_change(
    configuration: Configuration, change: ConfigurationChange, by: Caller | None
) -> None:
    check_may_configure(configuration, by=by)
    is_admin = by is not None and by.is_admin
    if change.accepts_global_secret is not None and not is_admin:
        raise errors.GlobalConfigurationOwned(
            "Only a token with the scope 'admin:registry' may set 'accept_global_secret'."
        )


def administer(configuration: Configuration, *, now: dt.datetime) -> None:
    """Note that an administrator has set the global configuration; what others left there is dropped."""
    if not configuration.is_administered:
        _set_secret(configuration, None, now=now)
        _replace_endpoints(configuration, {}, now=now)
    configuration.is_administered = True


def describe(configuration: Configuration) -> dict[str, Any]:
    """Return what the audit trail shows of it: of secrets and addresses that they are others."""
    rows = Endpoint.objects.filter(configuration=configuration).order_by("channel")
    return {
        "endpoints": {
            row.channel: " ".join(
                filter(None, [http_client.masked(row.url), auditing.masked(row.url), row.format])
            )
            for row in rows
        },
        "channel_secrets": {
            row.channel: auditing.masked(row.sealed_secret) for row in rows if row.sealed_secret
        },
        "channel_approvers": {
            row.channel: {
                name: row.options[name] for name in (APPROVER, APPROVERS) if name in row.options
            }
            | ({"signing_secret": auditing.masked(row.sealed_signing_secret)})
            for row in rows
            if row.sealed_signing_secret or {APPROVER, APPROVERS} & set(row.options)
        },
        "secret": auditing.masked(configuration.sealed_secret),
        "accept_global_secret": configuration.accepts_global_secret,
        "require_timestamp": configuration.requires_timestamp,
    }


def record(
    configuration: Configuration,
    *,
    before: Mapping[str, Any],
    by: Caller | None,
    now: dt.datetime,
) -> None:
    after = describe(configuration)
    changed = sorted(name for name in after if after[name] != before[name])
    if changed:
        data = {
            "fields": ", ".join(changed),
            "before": {name: before[name] for name in changed},
            "after": {name: after[name] for name in changed},
        }
        audit.record(
            "webhook.configured",
            actor=actor_of(by),
            service_name=configuration.service_name,
            data=data,
            at=now,
        )


def notify(configuration: Configuration) -> None:
    """Publish that the configuration changed."""
    channels = sorted(configuration.endpoints.values_list("channel", flat=True))
    has_secret = bool(configuration.sealed_secret)
    events.publish(
        event_constructors.webhook_configured(
            configuration.service_name, channels=channels, has_secret=has_secret
        )
    )


def _set_secret(configuration: Configuration, secret: str | None, *, now: dt.datetime) -> None:
    """A new secret leaves the one before alive for a day; a removed one is gone at once."""
    known = signing_secrets.of(configuration, now=now)
    if secret is not None and known[:1] == [secret]:
        return
    is_rotation = secret is not None and bool(known)
    configuration.sealed_previous_secret = configuration.sealed_secret if is_rotation else ""
    configuration.previous_secret_until = (
        now + signing_secrets.PREVIOUS_SECRET_LIFE if is_rotation else None
    )
    configuration.sealed_secret = "" if secret is None else crypto.encrypt(secret)


def _replace_endpoints(
    configuration: Configuration, endpoints: Mapping[str, str], *, now: dt.datetime
) -> None:
    """Rows are kept where their channel stays; what waits for another try goes where it leads now."""
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING)
    removed = configuration.endpoints.exclude(channel__in=endpoints)
    transitions.move_rows(
        waiting.filter(endpoint__in=removed),
        Delivery.Status.DEAD,
        reason="The channel was taken out of the configuration.",
        finished_at=now,
    )
    removed.delete()
    endpoint_secrets.drop(configuration, endpoints)
    for channel, url in endpoints.items():
        endpoint, _ = Endpoint.objects.update_or_create(
            configuration=configuration,
            channel=channel,
            defaults={"url": url, "disabled_at": None},
        )
        waiting.filter(endpoint=endpoint).exclude(url=url).update(
            url=url, receiver=receiver_of(url)
        )


def find_configuration(service_name: str) -> Configuration | None:
    return (
        Configuration.objects.select_related("service")
        .prefetch_related("endpoints")
        .filter(_named(service_name))
        .first()
    )


def _named(service_name: str) -> Q:
    return Q(service__name=service_name) if service_name else Q(service=None)
