"""Fetch what GitHub could not deliver while we were away, and act on it once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from saga_project.shared.errors import SagaError
from webhooks import inbound
from webhooks.models import GitHubHook


class Command(BaseCommand):
    help = "Ask GitHub's deliveries API for what never arrived, and act on each message once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hours", type=int, default=72, help="How far to look back.")
        parser.add_argument("--repository", help="Only the hooks of this owner/name.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        hooks = GitHubHook.objects.filter(is_enabled=True)
        if options["repository"]:
            hooks = hooks.filter(repository=options["repository"])
        for hook in hooks:
            try:
                count = inbound.recover(
                    hook, since=now - dt.timedelta(hours=options["hours"]), now=now
                )
            except SagaError as exc:
                raise CommandError(f"{hook}: {exc.message}") from exc
            self.stdout.write(f"{hook}: {count} recovered")
