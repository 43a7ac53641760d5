"""System checks: combinations of settings that cannot work, or that should not be used unawares."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from saga_project import celery  # noqa: F401 - makes Saga's the current app, to which tasks are sent
from saga_project.local import workers

TAG = "saga"
#: What Saga makes itself has 44.
SECRET_KEY_LENGTH, SECRET_KEY_CHARACTERS = 32, 10


class SagaProjectConfig(AppConfig):
    name = "saga_project"
    verbose_name = "Saga"

    def ready(self) -> None:
        workers.connect()


@checks.register(checks.Tags.security, TAG)
def open_beyond_loopback(**_: Any) -> list[checks.CheckMessage]:
    if settings.SAGA_AUTH == "open" and not settings.IS_LOOPBACK:
        return [
            checks.Warning(
                f"SAGA_AUTH=open while HOST={settings.HOST}: programs on this machine, and a proxy"
                " that adds no header, may register, deploy and delete without a token.",
                hint="Set SAGA_AUTH=required and hand out tokens (manage.py create_token).",
                id="saga.W001",
            )
        ]
    return []


@checks.register(TAG)
def thresholds_in_order(**_: Any) -> list[checks.CheckMessage]:
    degraded = settings.REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD
    unreachable = settings.REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD
    if degraded < unreachable:
        return []
    return [
        checks.Error(
            f"REGISTRY_HEARTBEAT_DEGRADED_THRESHOLD ({degraded}) must be below"
            f" REGISTRY_HEARTBEAT_UNREACHABLE_THRESHOLD ({unreachable}).",
            id="saga.E001",
        )
    ]


@checks.register(TAG)
def interval_below_ttl(**_: Any) -> list[checks.CheckMessage]:
    if settings.HEARTBEAT_INTERVAL < settings.REGISTRATION_TTL:
        return []
    return [
        checks.Warning(
            f"HEARTBEAT_INTERVAL ({settings.HEARTBEAT_INTERVAL}) must be below REGISTRATION_TTL"
            f" ({settings.REGISTRATION_TTL}): at that pace services expire between two heartbeats.",
            id="saga.W002",
        )
    ]


@checks.register(TAG)
def oidc_is_whole(**_: Any) -> list[checks.CheckMessage]:
    if settings.SAGA_OIDC_AUDIENCE and not settings.SAGA_OIDC_ISSUER:
        return [
            checks.Error("SAGA_OIDC_AUDIENCE is set, but SAGA_OIDC_ISSUER is not.", id="saga.E003")
        ]
    is_for_people = bool(settings.SAGA_OIDC_CLIENT_ID)  # without an audience, for people alone
    if settings.SAGA_OIDC_ISSUER and not settings.SAGA_OIDC_AUDIENCE and not is_for_people:
        return [
            checks.Warning(
                "SAGA_OIDC_ISSUER is set without SAGA_OIDC_AUDIENCE: a token made for any other"
                " program of that issuer would be accepted here.",
                id="saga.W004",
            )
        ]
    return []


@checks.register(TAG)
def encryption_keys_are_keys(**_: Any) -> list[checks.CheckMessage]:
    for position, key in enumerate(settings.SAGA_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            return [
                checks.Error(
                    f"SAGA_ENCRYPTION_KEYS: key {position} is not 32 bytes in url-safe base64.",
                    hint="Fernet.generate_key() of the package cryptography makes one.",
                    id="saga.E005",
                )
            ]
    return []


@checks.register(checks.Tags.security, TAG)
def secret_key_cannot_be_guessed(**_: Any) -> list[checks.CheckMessage]:
    key = settings.SECRET_KEY
    if len(key) >= SECRET_KEY_LENGTH and len(set(key)) >= SECRET_KEY_CHARACTERS:
        return []
    return [
        checks.Warning(
            f"SAGA_SECRET_KEY has fewer than {SECRET_KEY_LENGTH} characters, or repeats a few:"
            " what Saga signs with it could be forged.",
            hint="python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes one.",
            id="saga.W006",
        )
    ]
