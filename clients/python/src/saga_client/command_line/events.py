"""``saga events``."""

from __future__ import annotations

import json

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session

LISTED = "occurred_at type service_name data"


@click.command(cls=structure.Command)
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--service", multiple=True, help="Of this service; '*' may end it; repeatable.")
@click.option(
    "--type", "kinds", multiple=True, help="Of this type, such as 'service.*'; repeatable."
)
@click.option("--after", help="Those after this cursor.")
@click.option("--limit", type=int, help="At most so many [default: 100].")
def events(
    session: Session,
    is_following: bool,
    service: tuple[str, ...],
    kinds: tuple[str, ...],
    after: str | None,
    limit: int | None,
) -> None:
    """Show what happened, or follow what happens.

    With --follow, each line is an event; with --output json, a JSON object.
    """
    if is_following:
        follow(session, service=service, kinds=kinds, after=after)
        return
    query = {"service": service or None, "type": kinds or None, "after": after, "limit": limit}
    session.show(session.saga.call("GET", "/events", query=query), rows="events", columns=LISTED)


def follow(
    session: Session, *, service: tuple[str, ...], kinds: tuple[str, ...], after: str | None = None
) -> None:
    """Print events as they come."""
    for event in session.saga.events(after=after, service=service or None, type=kinds or None):
        data = json.dumps(event["data"], ensure_ascii=False)
        if session.is_structured:
            click.echo(json.dumps(event, ensure_ascii=False))
        else:
            words = (event["occurred_at"], event["type"], event["service_name"] or "-", data)
            click.echo("  ".join(words))
