"""``manage.py local_token``: prints the token of ``SAGA_AUTH=local-token``, for scripts on this machine."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Print the local token, alone. It needs SAGA_AUTH=local-token."

    def handle(self, *_: Any, **__: Any) -> None:
        if not settings.SAGA_LOCAL_TOKEN:
            raise CommandError(
                f"SAGA_AUTH is '{settings.SAGA_AUTH}'; set it to local-token to use the local token."
            )
        self.stdout.write(settings.SAGA_LOCAL_TOKEN)
