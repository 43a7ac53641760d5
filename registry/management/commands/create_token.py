"""Make a token for a service account and print it, alone, on standard output."""

from __future__ import annotations

import datetime as dt
import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from registry.identity import accounts
from registry.operations import tokens
from saga_project.shared.errors import InvalidRequest

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = dt.timedelta(days=3650)


def _comma_separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _lifetime(text: str) -> dt.timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([smhdw])", text, re.ASCII)
    if match is None:
        raise ArgumentTypeError(f"'{text}' is no duration such as 90d, 12h or 30m.")
    lifetime = dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
    if lifetime > _LONGEST:
        raise ArgumentTypeError(
            "A token lives for ten years at most; leave --expires out for ever."
        )
    return lifetime


def _selector(text: str) -> str:
    if not text:
        raise ArgumentTypeError("An empty selector selects nothing: leave --selector out.")
    return text


class Command(BaseCommand):
    help = "Make a token for a service account (made if need be) and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        parser.add_argument(
            "--scopes",
            required=True,
            type=_comma_separated,
            help=f"Comma-separated: {', '.join(accounts.SCOPES)}. The account gets them too.",
        )
        parser.add_argument(
            "--internal", action="store_true", help="Approve the account's services at once."
        )
        parser.add_argument(
            "--services",
            type=_comma_separated,
            help="Comma-separated: the only services that the account may touch.",
        )
        parser.add_argument(
            "--selector",
            type=_selector,
            help="Labels, such as env=test,team=pay: it may touch services that have them, too.",
        )
        parser.add_argument("--expires", type=_lifetime, help="For instance 90d, 12h, 30m.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["scopes"]:
            raise CommandError("--scopes names no scope.")
        lifetime: dt.timedelta | None = options["expires"]
        by, now = accounts.staff("manage.py"), timezone.now()
        try:
            account = tokens.ensure_account(
                options["account"],
                scopes=options["scopes"],
                is_internal=options["internal"],
                services=options["services"],
                selector=options["selector"],
                by=by,
                now=now,
            )
            _, text = tokens.issue(
                account,
                scopes=options["scopes"],
                expires_at=None if lifetime is None else now + lifetime,
                by=by,
                now=now,
            )
        except InvalidRequest as exc:
            raise CommandError(exc.message) from exc
        self.stdout.write(text)
