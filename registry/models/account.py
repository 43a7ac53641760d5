"""Programs and people that may call, their tokens, and the mark of the last change to either."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from registry.models.lengths import MAX_NAME_LENGTH
from registry.models.selecting import Selecting


class ServiceAccount(Selecting):
    """A program that may call: it owns tokens, scopes and the services that it registers.

    ``services`` and ``selector`` limit it to the services that one of them names or selects.
    """

    name = models.CharField(max_length=MAX_NAME_LENGTH, unique=True)
    description = models.TextField(blank=True)
    is_internal = models.BooleanField(default=False, help_text="Its services are approved at once.")
    is_active = models.BooleanField(default=True)
    scopes = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    services = ArrayField(
        models.CharField(max_length=MAX_NAME_LENGTH),
        default=list,
        blank=True,
        help_text="The only services that it may change, beside those that its selector selects; without"
        " both: its own and those without an owner.",
    )
    person = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="token_account",
        help_text="The person that these tokens speak for; its roles decide what they may do.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Token(models.Model):
    """A bearer token; its text is shown once, and only its SHA-256 is stored."""

    account = models.ForeignKey(ServiceAccount, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=MAX_NAME_LENGTH, blank=True)
    prefix = models.CharField(max_length=12, db_index=True)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When an event announced that it ends soon.",
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class CallersRevision(models.Model):
    """One row, to which triggers give another value with every change of a token or an account."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    value = models.UUIDField()

    def __str__(self) -> str:
        return str(self.value)

    @classmethod
    def current(cls) -> str:
        """Return a text that is another one after each commit that changed a token or an account."""
        values = cls.objects.values_list("value", flat=True)
        return str(next(iter(values), ""))
