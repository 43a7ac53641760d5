"""End the token that begins with a prefix."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from registry.identity import accounts
from registry.models import Token
from registry.operations import tokens


class Command(BaseCommand):
    help = "End a token, named by its first 12 characters."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefix", metavar="PREFIX")

    def handle(self, *args: Any, **options: Any) -> None:
        prefix: str = options["prefix"]
        found = list(Token.objects.filter(prefix=prefix).select_related("account"))
        if not found:
            raise CommandError(f"No token begins with '{prefix[: accounts.PREFIX_LENGTH]}'.")
        by = accounts.staff("manage.py")
        for token in found:
            is_first = tokens.revoke(token, by=by, now=timezone.now())
            word = "is revoked" if is_first else "was revoked before"
            self.stderr.write(f"{token} of {token.account} {word}.")
