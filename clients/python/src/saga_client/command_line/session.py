"""What a command works with: the client, made when it is first used, and the output."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

import click

from saga_client import client
from saga_client.command_line import live, output
from saga_client.command_line.options import Options


class Session:
    """One run of a command."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if "saga" in self.__dict__:
            self.saga.close()

    @functools.cached_property
    def saga(self) -> client.Saga:
        try:
            return client.Saga(
                self.options.url, token=self.options.token, profile=self.options.profile
            )
        except ValueError as exc:
            raise click.UsageError(str(exc)) from exc

    @property
    def may_ask(self) -> bool:
        return self.options.may_ask and sys.stdin.isatty()

    @property
    def is_structured(self) -> bool:
        """Whether a program reads the output."""
        return self.options.output in {"json", "yaml"}

    @property
    def is_live(self) -> bool:
        """Whether progress may be drawn anew in place, on a terminal."""
        return not (self.options.is_quiet or self.is_structured) and live.is_possible()

    def show(self, document: Any, *, columns: str = "", rows: str = "") -> None:
        """Print a document; as a table of ``rows`` (a key) with ``columns`` where it is a list."""
        if not self.options.is_quiet:
            text = output.rendered(
                document, style=self.options.output or "table", rows=rows, columns=columns.split()
            )
            click.echo(text)

    def say(self, text: str) -> None:
        """Print progress for people: to standard error where the output is for a program."""
        if not self.options.is_quiet:
            click.echo(text, err=self.is_structured)

    def confirm(self, question: str, *, is_sure: bool) -> None:
        """Ask before something is lost; ``--yes`` and a terminal's absence decide without asking."""
        if is_sure:
            return
        if not self.may_ask:
            raise click.UsageError(f"{question} Repeat with --yes to confirm.")
        click.confirm(question, abort=True)


def webhook_secret() -> str | None:
    """Return SAGA_WEBHOOK_SECRET: it is not an option, because a command line is visible to others."""
    return os.environ.get("SAGA_WEBHOOK_SECRET") or None
