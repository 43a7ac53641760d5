"""``saga agent``: the agent of a node, which the server's distribution brings."""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from saga_client.command_line import main

MODULE = "saga_project.agent"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def agent(arguments: tuple[str, ...]) -> None:
    """Join this host as a node, and run its agent.

    ARGUMENTS are join, run or install; `saga agent run --help` shows the options of one.
    """
    try:
        is_here = importlib.util.find_spec(MODULE) is not None
    except ModuleNotFoundError:
        is_here = False
    if not is_here:
        click.echo(f"This environment has no {MODULE}: install Saga itself on this host.", err=True)
        raise click.exceptions.Exit(main.FAILED)
    sys.stdout.flush()
    # -P: whatever the present folder holds.
    os.execv(sys.executable, [sys.executable, "-P", "-m", MODULE, *(arguments or ["--help"])])  # noqa: S606
