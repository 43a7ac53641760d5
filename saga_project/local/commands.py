"""``saga server``: the commands of the server, for the command line of saga-client.

The entry point ``saga.commands`` in ``pyproject.toml`` names it. Each command replaces this process by
Django's command line or the launcher, in the folder where it was called, so that paths mean what they say.
"""

from __future__ import annotations

import os
import sys

import click

#: Each command of Django's that is offered, and what it does.
COMMANDS = {
    "prepare": "Migrate the database, and create the first user.",
    "diagnose": "Say what would keep Saga from starting or working here.",
    "sweep": "Run the time-critical loops: expiry, missed heartbeats, flush.",
    "backup": "Write database, secrets and artifacts to a file while Saga runs.",
    "bundle": "Write the settings and secrets that all hosts share to a file for SAGA_CONFIG.",
    "restore": "Restore a backup into an empty database.",
    "create-token": "Create a token, and its account if need be.",
    "revoke-token": "Revoke a token.",
    "local-token": "Print the token of SAGA_AUTH=local-token.",
    "rotate-secrets": "Encrypt stored secrets anew with the newest key.",
    "forget-missing-keys": "Start without an encryption key that is lost for good.",
    "verify-audit": "Check the chain of the audit trail.",
    "recover-github": "Ask GitHub for the webhooks that did not arrive.",
    "upgrade-postgresql": "Move the embedded database to a new major version.",
    "shell": "Open a Python shell with the models.",
}
#: Its arguments, --help included, are the command's own.
PASSED_ON = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def server() -> None:
    """Run and maintain the server of this environment."""


@server.command()
@click.option("--open", "is_browser_wanted", is_flag=True, help="Open the console in a browser.")
def run(is_browser_wanted: bool) -> None:
    """Start the whole stack, as `make run` does, until Ctrl-C."""
    options = ["--open"] if is_browser_wanted else []
    _replace_by("saga_project.local.stack", "run", *options)


def _add(name: str, summary: str) -> None:
    @server.command(name, help=summary, context_settings=PASSED_ON, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        _replace_by("saga_project", name, *arguments)


def _replace_by(module: str, *arguments: str) -> None:
    """Run a module of this environment, whatever the present folder holds (``-P``)."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606 (no shell is meant)


for _name, _summary in COMMANDS.items():
    _add(_name, _summary)
server.add_command(server.commands["diagnose"], "check")
