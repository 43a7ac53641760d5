"""Logins that ended at the provider of OpenID Connect, as its logout tokens say."""

from __future__ import annotations

from django.db import models


class EndedLogin(models.Model):
    """One logout token that was accepted, kept for as long as a session may live.

    ``subject`` and ``sid`` are digests of the issuer with the person's subject, or with its session there;
    one of them may be empty. Without ``sid`` all logins of the person until ``issued_at`` ended.
    """

    token = models.CharField(max_length=64, unique=True, help_text="Digest of issuer and jti.")
    subject = models.CharField(max_length=64, blank=True, db_index=True)
    sid = models.CharField(max_length=64, blank=True, db_index=True)
    issued_at = models.DateTimeField(help_text="By the provider's clock.")
    received_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.token[:12]
