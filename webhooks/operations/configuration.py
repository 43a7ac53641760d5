"""A service's endpoints and secret."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Mapping

from django.db import transaction

from registry import events
from registry.models import Subscription
from saga_project.shared import crypto, http_client
from webhooks import errors, event_constructors, signatures, signing_secrets
from webhooks.models import (
    MAX_CHANNEL_LENGTH,
    Configuration,
    Delivery,
    Endpoint,
    GitHubHook,
    receiver_of,
)

MAX_ENDPOINTS = 100
MAX_SECRET_LENGTH = 512
MIN_KEY_BYTES = 16
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


class Keep(enum.Enum):
    KEEP = "keep"


KEEP = Keep.KEEP
Secret = str | Keep | None


def judge(*, endpoints: Mapping[str, str] | None, secret: Secret) -> None:
    """Raise InvalidRequest unless this can be configured; where a URL leads is judged when it is called."""
    if endpoints is None and secret is KEEP:
        raise errors.NothingToConfigure("Send 'endpoints', 'secret', or both.")
    if isinstance(secret, str):
        _judge_secret(secret)
    if endpoints is None:
        return
    if len(endpoints) > MAX_ENDPOINTS:
        raise errors.InvalidChannel(f"There are at most {MAX_ENDPOINTS} endpoints.")
    for channel, url in endpoints.items():
        if len(channel) > MAX_CHANNEL_LENGTH or _CHANNEL.fullmatch(channel) is None:
            raise errors.InvalidChannel(
                f"A channel's name has 1-{MAX_CHANNEL_LENGTH} characters out of A-Z a-z 0-9 . _ -,"
                " starting with a letter or digit.",
                field="endpoints",
            )
        http_client.check_url(url, field=f"endpoints.{channel}")


def _judge_secret(secret: str) -> None:
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
) -> None:
    """Set what is given and keep the rest; an empty name is the global configuration."""
    judge(endpoints=endpoints, secret=secret)
    with transaction.atomic(durable=True):
        put(service_name, endpoints=endpoints, secret=secret, now=now)


def put(
    service_name: str,
    *,
    endpoints: Mapping[str, str] | None,
    secret: Secret,
    now: dt.datetime,
) -> None:
    """The same, inside the caller's transaction, for what was judged."""
    configuration, _ = Configuration.objects.select_for_update().get_or_create(
        service_name=service_name, defaults={"configured_at": now}
    )
    if secret is not KEEP:
        _set_secret(configuration, secret, now=now)
    configuration.configured_at = now
    configuration.save()
    if endpoints is not None:
        _replace_endpoints(configuration, endpoints, now=now)
    channels = sorted(configuration.endpoints.values_list("channel", flat=True))
    events.publish(
        event_constructors.webhook_configured(
            service_name, channels=channels, has_secret=bool(configuration.sealed_secret)
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
    waiting.filter(endpoint__in=removed).update(
        status=Delivery.Status.DEAD,
        reason="The channel was taken out of the configuration.",
        finished_at=now,
    )
    removed.delete()
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
        Configuration.objects.prefetch_related("endpoints")
        .filter(service_name=service_name)
        .first()
    )


def rotate_secrets() -> int:
    """Encrypt every stored secret anew with the newest key; return how many there were."""
    count = 0
    with transaction.atomic(durable=True):
        for row in Configuration.objects.select_for_update().order_by("pk"):
            count += _rotate(row, "sealed_secret", "sealed_previous_secret")
        for hook in GitHubHook.objects.select_for_update().order_by("pk"):
            count += _rotate(hook, "sealed_token")
        for subscription in Subscription.objects.select_for_update().order_by("pk"):
            count += _rotate(subscription, "sealed_secret")
    return count


def _rotate(row: Configuration | GitHubHook | Subscription, *fields: str) -> int:
    sealed = {name: getattr(row, name) for name in fields if getattr(row, name)}
    for name, text in sealed.items():
        setattr(row, name, crypto.rotate(text))
    if sealed:
        row.save(update_fields=list(sealed))
    return len(sealed)
