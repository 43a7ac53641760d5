"""Webhooks at GitHub that lead here."""

from __future__ import annotations

from django.db import models

from registry.models import MAX_URL_LENGTH


class GitHubHook(models.Model):
    """A webhook at GitHub that leads here; what it could not deliver is asked for afterwards."""

    repository = models.CharField(max_length=255, help_text="owner/name")
    hook_id = models.PositiveBigIntegerField()
    api_url = models.CharField(max_length=MAX_URL_LENGTH, default="https://api.github.com")
    sealed_token = models.TextField(blank=True, editable=False)
    is_enabled = models.BooleanField(default=True)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    error = models.TextField(blank=True, editable=False)

    #: What the recovery of its deliveries keeps.
    BOOKKEEPING = ("checked_at", "error")

    class Meta:
        ordering = ["repository", "hook_id"]
        verbose_name = "GitHub hook"
        constraints = [
            models.UniqueConstraint(
                fields=["api_url", "repository", "hook_id"], name="one_row_per_github_hook"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository} #{self.hook_id}"
