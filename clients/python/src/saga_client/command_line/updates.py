"""``saga updates``: checks, plans, history, statistics, exports."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, BinaryIO, Callable

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session
from saga_client.transport import segment

ENTRIES = "new_version old_version status timestamp duration_seconds trigger job_id"


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--status", type=click.Choice(["success", "failed", "rolled_back"])),
        click.option("--since", help="Not before this time (RFC 3339)."),
        click.option("--until", help="Before this time (RFC 3339)."),
        click.option("--limit", type=int, help="At most so many."),
    ):
        command = option(command)
    return command


@click.group(cls=structure.Group)
def updates() -> None:
    """Check for updates; history, statistics, exports."""


@updates.command()
@click.argument("name")
def check(session: Session, name: str) -> None:
    """Ask the sources of a service for a newer version now."""
    body = {"service_name": name}
    session.show(session.saga.call("POST", "/webhooks/check-updates", body=body, timeout=90))


@updates.command()
@click.argument("name")
def plan(session: Session, name: str) -> None:
    """Show what the policy of a service would do now, and why."""
    session.show(session.saga.call("GET", "/updates/plan", query={"service": name}))


@updates.command()
@click.argument("name", required=False)
@_filters
@click.option("--offset", type=int, help="Leave out the first so many.")
def history(session: Session, name: str | None, **query: Any) -> None:
    """List what was deployed, newest first; of one service or of all."""
    path = f"/updates/history/{segment(name)}" if name else "/updates/history"
    document = session.saga.call("GET", path, query=query)
    rows = next((key for key, value in document.items() if isinstance(value, list)), "")
    columns = ENTRIES if name else f"service_name {ENTRIES}"
    session.show(document, rows=rows, columns=columns)


@updates.command()
@click.option("--window", help="Of this time, such as 30d.")
def statistics(session: Session, window: str | None) -> None:
    """Count updates and their results."""
    session.show(session.saga.call("GET", "/updates/statistics", query={"window": window}))


@updates.command()
@click.option("--window", help="Of this time, such as 30d.")
def dora(session: Session, window: str | None) -> None:
    """Show deployment frequency, lead time, change failure rate and time to restore."""
    session.show(session.saga.call("GET", "/updates/statistics/dora", query={"window": window}))


@updates.command()
@click.argument("name", required=False)
@click.option(
    "--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True
)
@click.option("--file", "path", help="Write to this file [default: standard output].")
@_filters
def export(session: Session, name: str | None, form: str, path: str | None, **query: Any) -> None:
    """Export the history of a service, or of all."""
    of = f"{segment(name)}/" if name else ""
    with session.saga.transport.opened(
        "GET", f"/updates/history/{of}export/{form}", query=query
    ) as got:
        if path:
            with Path(path).open("wb") as file:
                _copy(got, file)
        else:
            _copy(got, sys.stdout.buffer)


def _copy(source: Any, target: BinaryIO) -> None:
    shutil.copyfileobj(source, target)
    target.flush()
