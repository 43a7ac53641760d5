"""``saga webhooks`` and ``saga notify``."""

from __future__ import annotations

import secrets
import sys

import click

from saga_client.command_line import arguments, main, resources, structure
from saga_client.command_line.session import Session

SEVERITIES = ["info", "warning", "error", "critical"]


@click.group(cls=structure.Group)
def webhooks() -> None:
    """Configure endpoints and secrets, and test them."""


@webhooks.group(invoke_without_command=False)
def config() -> None:
    """Endpoints and secret of a service, or the global ones."""


@config.command()
@click.argument("name", required=False)
def get(session: Session, name: str | None) -> None:
    """Show the configuration of a service, or the global one."""
    session.show(session.saga.call("GET", "/webhooks/config", query={"service_name": name}))


@config.command("set")
@click.argument("name", required=False)
@click.option(
    "--endpoint", "endpoints", multiple=True, help="channel=URL; all of them; repeatable."
)
@click.option("--secret-stdin", is_flag=True, help="Read the secret from standard input.")
@click.option("--no-secret", is_flag=True, help="Remove the secret.")
def set_config(
    session: Session,
    name: str | None,
    endpoints: tuple[str, ...],
    secret_stdin: bool,
    no_secret: bool,
) -> None:
    """Set endpoints and secret of a service, or the global ones."""
    body: dict[str, object] = {"service_name": name} if name else {}
    if endpoints:
        body["endpoints"] = arguments.pairs(endpoints)
    if secret_stdin:
        body["secret"] = sys.stdin.readline().strip()
    elif no_secret:
        body["secret"] = None
    session.show(session.saga.call("POST", "/webhooks/config", body=body))


@webhooks.command()
@click.argument("name", required=False)
def rotate(session: Session, name: str | None) -> None:
    """Set a new random secret and print it; the previous one stays valid for 24 hours."""
    secret = secrets.token_urlsafe(32)
    body = {"service_name": name, "secret": secret}
    present = {key: value for key, value in body.items() if value is not None}
    session.saga.call("POST", "/webhooks/config", body=present)
    if session.is_structured:
        session.show({"service_name": name, "secret": secret})
    else:
        click.echo(secret)  # also with --quiet: it cannot be shown again


@webhooks.command()
@click.argument("name")
@click.argument("channel")
def test(session: Session, name: str, channel: str) -> None:
    """Send a test message to a channel of a service, and show what became of it."""
    _notify(session, name, channel, "This is a test by `saga webhooks test`.", "info")


channels = resources.group(
    "channels",
    "Where notifications go; set them, and send a test. KEY is the id.",
    columns="id service_name channel format url has_secret is_enabled",
)


@channels.command("test")
@click.argument("channel_id", type=int)
def test_channel(session: Session, channel_id: int) -> None:
    """Send a test message and show the receiver's answer; exit 1 where it is not delivered."""
    document = session.saga.call("POST", f"/channels/{channel_id}/test", timeout=60)
    session.show(document)
    if not document["is_delivered"]:
        raise click.exceptions.Exit(main.FAILED)


@click.command(cls=structure.Command)
@click.argument("name")
@click.argument("channel")
@click.argument("message")
@click.option("--severity", type=click.Choice(SEVERITIES), default="info", show_default=True)
def notify(session: Session, name: str, channel: str, message: str, severity: str) -> None:
    """Send a message to a channel of a service."""
    _notify(session, name, channel, message, severity)


def _notify(session: Session, name: str, channel: str, message: str, severity: str) -> None:
    body = {"service_name": name, "channel": channel, "message": message, "severity": severity}
    session.show(session.saga.call("POST", "/webhooks/notify", body=body))
