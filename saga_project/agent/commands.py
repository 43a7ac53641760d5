"""``saga agent``: join, run, install."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import click
import saga_client
from saga_client import transport

from saga_project.agent import configuration, units
from saga_project.agent.state import AgentState, Identity
from updates.rollouts.agents import envelopes

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=configuration.DEFAULT_FOLDER,
    envvar="SAGA_AGENT_FOLDER",
    show_default=True,
    help="Where the agent keeps its identity, artifacts, backups and services.",
)


_certificate = click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Certificate (PEM) to present to a server that asks for one.",
)
_key = click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Private key (PEM) of --certificate [default: the same file].",
)


class _Commands(click.Group):
    """Options without a command are those of ``run``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_run = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, ["run", *args] if is_run else args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def agent() -> None:
    """Make this host a node that installs what Saga orders."""


@agent.command()
@click.option("--server", required=True, help="Address of Saga, https://…")
@click.option(
    "--token",
    envvar="SAGA_JOIN_TOKEN",
    required=True,
    help="The join token [env: SAGA_JOIN_TOKEN].",
)
@click.option("--insecure-http", is_flag=True, help="Allow http to another host.")
@_certificate
@_key
@_folder
def join(
    server: str,
    token: str,
    insecure_http: bool,
    certificate: str | None,
    key: str | None,
    folder: Path,
) -> None:
    """Join with a token of `saga nodes join-token`; it is good once."""
    files = _files(certificate, key)
    _join(AgentState(folder), server.rstrip("/"), token, files, is_http_allowed=insecure_http)


def _files(certificate: str | None, key: str | None) -> tuple[str, str]:
    if key and not certificate:
        raise click.UsageError("--key is of a certificate: name it with --certificate.")
    return certificate or "", key or certificate or ""


def _allowed(folder: Path) -> configuration.Allowed:
    try:
        return configuration.read(folder)
    except configuration.ConfigurationInvalid as exc:
        raise click.ClickException(str(exc)) from exc


def _join(
    state: AgentState,
    server: str,
    token: str,
    files: tuple[str, str],
    *,
    is_http_allowed: bool,
) -> None:
    parts = urlsplit(server)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK and not is_http_allowed:
        raise click.UsageError(
            "The node's token would be readable on the way: use an https address."
        )
    unjoined = Identity(
        server=server, node="", token="", public_key="", certificate=files[0], key=files[1]
    )
    try:
        proxy = _allowed(state.folder).proxy_for(server)
        calls = transport.Transport(server, tls=unjoined.tls(), proxy=proxy)
        answer = calls.call("POST", "/agent/join", body={"join_token": token})
    except (saga_client.SagaError, OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from exc
    if envelopes.fingerprint(answer["public_key"]) != token.rpartition(".")[2]:
        raise click.ClickException(
            "The server's key is not the one that the join token names. Something between this host and Saga"
            " may have answered in its place."
        )
    state.write_identity(
        replace(
            unjoined,
            node=answer["node"],
            token=answer["token"],
            public_key=answer["public_key"],
        )
    )
    click.echo(f"This host is node {answer['node']} ({answer['status']}).")
    if answer["status"] == "pending":
        click.echo(f"Approve it with: saga nodes approve {answer['node']}")


@agent.command()
@click.option("--server", help="With --token: join first, where this host has not joined yet.")
@click.option("--token", envvar="SAGA_JOIN_TOKEN", help="A join token [env: SAGA_JOIN_TOKEN].")
@click.option("--insecure-http", is_flag=True, help="Allow http to another host.")
@_certificate
@_key
@_folder
def run(
    server: str | None,
    token: str | None,
    insecure_http: bool,
    certificate: str | None,
    key: str | None,
    folder: Path,
) -> None:
    """Work as this host's node until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    state, allowed = AgentState(folder), _allowed(folder)
    if state.read_identity() is None:
        if not server or not token:
            raise click.UsageError("This host has not joined: use `saga agent join`.")
        files = _files(certificate, key)
        _join(state, server.rstrip("/"), token, files, is_http_allowed=insecure_http)
    identity = state.read_identity()
    assert identity is not None  # noqa: S101 (it has just joined)
    configuration.begin(folder, allowed, node=identity.node)
    # The modules of steps need the settings that stand since the line above.
    module = importlib.import_module("saga_project.agent.worker")
    try:
        worker = module.Agent(state, allowed)
    except OSError as exc:
        raise click.ClickException(f"{identity.certificate} cannot be used: {exc}.") from exc
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.is_stopping.set())
    click.echo(f"Node {identity.node} works for {identity.server}.")
    is_well = worker.run()
    if not is_well:
        click.echo("The token of this node has ended. To come back, join with another join token.")
    # Threads that are in a step end with the process: their orders come once more. Services stay registered.
    sys.stdout.flush()
    os._exit(0 if is_well else units.TOKEN_ENDED)


@agent.command()
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/systemd/system"),
    show_default=True,
)
@click.option("--user", "account", help="Account that the agent runs as [default: root].")
@_folder
def install(to: Path, account: str | None, folder: Path) -> None:
    """Write the systemd unit of the agent, and say how to start it."""
    try:
        file = units.write(to, account=account, folder=folder, allowed=_allowed(folder))
    except OSError as exc:
        raise click.ClickException(f"{to} cannot be written: {exc.strerror}.") from exc
    click.echo(f"{file} is written. Start it with: systemctl enable --now {file.name}")
