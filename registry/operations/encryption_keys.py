"""Keys of stored secrets: which ones this database needs, and moving all secrets to the newest.

The database remembers each key that may have encrypted something, by its fingerprint. So the loss of a key is
noticed at the start of a process, and not when a secret is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django import db
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from registry.models import EncryptionKey, IdempotencyKey
from saga_project.shared import auditing, crypto

PREFIX = "sealed_"
SAMPLE = 20
#: Of an authenticator app, and of recovery codes.
FACTOR_SECRETS = ("secret", "seed")


def describe_missing() -> str:
    """Return a sentence about keys that stored secrets need and that are not configured; empty if none is.

    Empty as well where PostgreSQL cannot be asked: a start must not depend on that.
    """
    try:
        recorded = dict(EncryptionKey.objects.values_list("fingerprint", "recorded_at"))
        if not recorded and (place := _unreadable_place()):
            return _sentence(f"the key that encrypted {place}")
    except db.Error:
        return ""
    missing = [
        f"key {name} (in use since {recorded[name]:%Y-%m-%d})"
        for name in sorted(set(recorded) - set(crypto.fingerprints()))
    ]
    return _sentence(", ".join(missing)) if missing else ""


def _sentence(missing: str) -> str:
    found = ", ".join(crypto.fingerprints())
    return (
        f"SAGA_ENCRYPTION_KEYS: {missing} is missing, and stored secrets cannot be read without it"
        f" (configured: {found}); add it after the newest key, or restore"
        f" {settings.SAGA_DATA_DIR / 'secrets' / 'encryption_key'}."
    )


def record() -> None:
    """Remember the configured keys: from now on each of them is needed, until ``rotate``."""
    names = crypto.fingerprints()
    known = set(EncryptionKey.objects.values_list("fingerprint", flat=True))
    EncryptionKey.objects.bulk_create(
        [EncryptionKey(fingerprint=name) for name in names if name not in known],
        ignore_conflicts=True,
    )


def forget_missing() -> int:
    """Stop asking for keys that are not configured; what they encrypted stays unreadable."""
    with transaction.atomic(durable=True):
        count, _ = EncryptionKey.objects.exclude(fingerprint__in=crypto.fingerprints()).delete()
        record()
    return count


def rotate() -> int:
    """Encrypt every stored secret anew with the newest key; return how many there were.

    The older keys are needed no more. Raises SecretUnreadable, and changes nothing, where a key is missing.
    """
    count = 0
    with transaction.atomic(durable=True):
        for model, names in _sealed_columns():
            rows = _rows(model).select_for_update().order_by("pk").only("pk", *names)
            for row in rows.iterator():
                count += _rotate(row, names)
        count += _rotate_factors()
        newest = crypto.fingerprints()[0]
        data = {"secrets": count, "key": newest}
        auditing.record("secrets.rotated", actor="manage.py", data=data, at=timezone.now())
        EncryptionKey.objects.exclude(fingerprint=newest).delete()
        EncryptionKey.objects.get_or_create(fingerprint=newest)
    return count


def _rotate(row: models.Model, names: list[str]) -> int:
    sealed = {name: getattr(row, name) for name in names if getattr(row, name)}
    if sealed:
        anew = {name: crypto.rotate(text) for name, text in sealed.items()}
        _rows(type(row)).filter(pk=row.pk).update(**anew)
    return len(sealed)


def _rotate_factors() -> int:
    """Encrypt anew the secrets of second factors, which stand inside of a document."""
    count = 0
    for row in Authenticator.objects.select_for_update().order_by("pk").iterator():
        sealed = {name: row.data[name] for name in FACTOR_SECRETS if row.data.get(name)}
        if sealed:
            row.data |= {name: crypto.rotate(text) for name, text in sealed.items()}
            row.save(update_fields=["data"])
        count += len(sealed)
    return count


def _sealed_columns() -> Iterator[tuple[type[models.Model], list[str]]]:
    """Return every model with the columns that hold encrypted text: they are named ``sealed_…``."""
    for model in apps.get_models():
        names = [field.name for field in model._meta.concrete_fields if _is_sealed(model, field)]
        if names:
            yield model, names


def _rows(model: type[models.Model]) -> models.QuerySet[models.Model]:
    return models.QuerySet(model=model)


def _is_sealed(model: type[models.Model], field: models.Field[Any, Any]) -> bool:
    return field.name.startswith(PREFIX) or (model is IdempotencyKey and field.name == "body")


def _unreadable_place() -> str:
    """Return the name of a column whose newest texts include one that no key fits, else nothing."""
    for model, names in _sealed_columns():
        for name in names:
            texts = _rows(model).exclude(**{name: ""}).order_by("-pk")
            if not all(map(_is_readable, texts.values_list(name, flat=True)[:SAMPLE])):
                return str(model._meta.verbose_name_plural)
    return ""


def _is_readable(sealed: str) -> bool:
    try:
        crypto.decrypt(sealed)
    except crypto.SecretUnreadable:
        return False
    return True
