"""The general options of ``saga``: how to print, whether to ask, which Saga to call."""

from __future__ import annotations

from dataclasses import dataclass

import click

OUTPUTS = ("table", "json", "yaml")


@dataclass
class Options:
    """What the general options say; an option after the command wins."""

    output: str | None = None
    is_quiet: bool = False
    may_ask: bool = True
    profile: str | None = None
    url: str | None = None
    token: str | None = None


def general() -> list[click.Parameter]:
    """Return the options that each command takes, after its name or before."""
    return [
        click.Option(
            ["-o", "--output", "general_output"],
            type=click.Choice(OUTPUTS),
            help="How to print [default: table].",
        ),
        click.Option(
            ["-q", "--quiet", "general_quiet"], is_flag=True, help="Print nothing but errors."
        ),
        click.Option(
            ["--no-input", "general_no_input"], is_flag=True, help="Never ask; fail instead."
        ),
        click.Option(
            ["--profile", "general_profile"],
            help="Profile of the configuration [env: SAGA_PROFILE].",
        ),
        click.Option(["--url", "general_url"], help="Address of Saga [env: SAGA_URL]."),
    ]


_NAMES = ("output", "quiet", "no_input", "profile", "url")


def remember(context: click.Context) -> Options:
    """Take the general options out of a command's parameters, and return what they say so far."""
    options = context.ensure_object(Options)
    given = {name: context.params.pop(f"general_{name}", None) for name in _NAMES}
    options.output = given["output"] or options.output
    options.is_quiet = bool(given["quiet"]) or options.is_quiet
    options.may_ask = options.may_ask and not given["no_input"]
    options.profile = given["profile"] or options.profile
    options.url = given["url"] or options.url
    return options
