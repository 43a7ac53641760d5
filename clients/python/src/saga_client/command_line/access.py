"""``login``, ``status``, ``health``, ``api`` and ``completion``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from click import shell_completion

from saga_client import client, errors, profiles
from saga_client.command_line import main, structure
from saga_client.command_line.session import Session


@click.command(cls=structure.Command)
@click.option("--token", help="The token; better give it on standard input (--token-stdin).")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@click.option("--no-keyring", is_flag=True, help="Store the token in the file in any case.")
def login(session: Session, token: str | None, token_stdin: bool, no_keyring: bool) -> None:
    """Store the address of Saga and a token in a profile.

    The token is tried first, and is stored in the keyring where there is one (saga-client[keyring]), else in
    the file, which is only readable by you. Without a token, the address alone is stored.
    """
    options = session.options
    url = options.url
    if url is None and session.may_ask:
        url = click.prompt("Address of Saga", default=profiles.DEFAULT_URL)
    if token_stdin:
        token = sys.stdin.readline().strip()
    elif token is None and session.may_ask:
        token = click.prompt(
            "Token (empty for none)", default="", hide_input=True, show_default=False
        )
    name = options.profile or profiles.DEFAULT_PROFILE
    try:
        address = profiles.clean_url(url or profiles.DEFAULT_URL)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    _try(address, token or None)
    file = profiles.write(name, url=address, token=token or None, may_use_keyring=not no_keyring)
    where = ", its token in the keyring" if profiles.is_in_keyring(name) else ""
    session.say(f"Profile '{name}' for {address} is stored in {file}{where}.")


def _try(url: str, token: str | None) -> None:
    """Raise the error that a call with this token gets; a scope that it lacks is none."""
    try:
        client.Saga(url, token=token).services(limit=1)
    except errors.NotAllowed:
        return


@click.command(cls=structure.Command)
def status(session: Session) -> None:
    """Show where Saga is, how it is, and what is under way."""
    health = session.saga.health()
    services = session.saga.services()
    jobs = [
        job
        for state in ("queued", "running", "paused")
        for job in session.saga.call("GET", "/updates/jobs", query={"status": state})["jobs"]
    ]
    document = {
        "url": session.saga.url,
        "status": health["status"],
        "version": health.get("version"),
        "redis": health.get("redis"),
        "database": health.get("database"),
        "services": len(services),
        "jobs": [
            {key: job[key] for key in ("job_id", "status", "progress", "strategy")} for job in jobs
        ],
    }
    session.show(document)
    _fail_unless_healthy(health)


@click.command(cls=structure.Command)
def health(session: Session) -> None:
    """Show the health of Saga itself; exit 1 where it is unhealthy."""
    document = session.saga.health()
    session.show(document)
    _fail_unless_healthy(document)


def _fail_unless_healthy(document: dict[str, Any]) -> None:
    if document.get("status") == "unhealthy":
        raise click.exceptions.Exit(main.FAILED)


@click.command(cls=structure.Command)
@click.argument(
    "method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"], case_sensitive=False)
)
@click.argument("path")
@click.option("--data", help="The JSON body, or - for standard input.")
def api(session: Session, method: str, path: str, data: str | None) -> None:
    """Call any route of the API; PATH begins after /api/v1, as in /services?limit=2."""
    text = sys.stdin.read() if data == "-" else data
    try:
        body = None if text is None else json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"The body is no JSON: {exc}.", param_hint="--data") from exc
    session.show(session.saga.call(method.upper(), f"/{path.lstrip('/')}", body=body))


@click.command(cls=structure.Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(session: Session, shell: str) -> None:
    """Print the script that completes commands in a shell.

    For bash: add `eval "$(saga completion bash)"` to ~/.bashrc.
    """
    kind = shell_completion.get_completion_class(shell)
    assert kind is not None  # noqa: S101 (click knows the three shells)
    session.say(kind(main.saga, {}, "saga", "_SAGA_COMPLETE").source())
