"""``saga audit``."""

from __future__ import annotations

import click

from saga_client.command_line import main, resources, structure
from saga_client.command_line.session import Session

LISTED = "sequence at actor action service_name request_id"


@click.group(cls=structure.Group)
def audit() -> None:
    """What was changed, by which account; verify that nothing is missing."""


@audit.command("list")
@click.option("--action", help="Entries of this action; '*' may end it.")
@click.option("--since", help="Not before this time (RFC 3339).")
@click.option("--until", help="Before this time (RFC 3339).")
@click.option("--limit", type=int, default=100, show_default=True, help="At most so many.")
def list_entries(
    session: Session, action: str | None, since: str | None, until: str | None, limit: int
) -> None:
    """List changes, newest first."""
    query = {"action": action, "since": since, "until": until}
    rows = resources.all_rows(session, "/audit", "entries", query, limit=limit)
    session.show({"entries": rows}, rows="entries", columns=LISTED)


@audit.command()
def verify(session: Session) -> None:
    """Check the chain of all entries; exit 1 where it is broken."""
    document = session.saga.call("GET", "/audit/verify", timeout=300)
    session.show(document)
    if not document["is_intact"]:
        raise click.exceptions.Exit(main.FAILED)
