"""``saga deliveries`` and ``saga calls``: what was sent to receivers, what came in, and both once more."""

from __future__ import annotations

import click

from saga_client.command_line import resources, structure
from saga_client.command_line.session import Session
from saga_client.transport import segment

DELIVERIES = "id topic service_name url status attempt_count created_at reason"
CALLS = "id route service_name verdict status caller received_at"

_LIMIT = click.option("--limit", type=int, default=100, show_default=True, help="At most so many.")


@click.group(cls=structure.Group)
def deliveries() -> None:
    """List deliveries to receivers, and send dead ones again."""


@deliveries.command("list")
@click.option("--service", help="Those of this service.")
@click.option("--status", help="pending, sending, delivered or dead.")
@click.option("--topic", help="Those of this event.")
@click.option("--since", help="Those made since this time.")
@_LIMIT
def list_deliveries(session: Session, limit: int, **query: str | None) -> None:
    """List deliveries, the newest first."""
    rows = resources.all_rows(session, "/deliveries", "deliveries", query, limit=limit)
    session.show({"deliveries": rows}, rows="deliveries", columns=DELIVERIES)


@deliveries.command()
@click.argument("delivery_id")
def get(session: Session, delivery_id: str) -> None:
    """Show a delivery with its attempts."""
    session.show(session.saga.call("GET", f"/deliveries/{segment(delivery_id)}"))


@deliveries.command()
@click.argument("delivery_id", required=False)
@click.option("--service", "service_name", help="All dead ones of this service.")
@click.option("--topic", help="All dead ones of this event.")
@click.option("--since", help="All dead ones since this time.")
@click.option("--dry-run", is_flag=True, help="Say which they are, and send none.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def replay(
    session: Session,
    delivery_id: str | None,
    dry_run: bool,
    yes: bool,
    **wanted: str | None,
) -> None:
    """Send a dead delivery again, or all dead ones that match."""
    if delivery_id:
        session.show(session.saga.call("POST", f"/deliveries/{segment(delivery_id)}/replay"))
        return
    body = {key: value for key, value in wanted.items() if value}
    if not dry_run:
        session.confirm("Send all dead deliveries that match again?", is_sure=yes)
    query = {"dry_run": "true"} if dry_run else None
    session.show(session.saga.call("POST", "/deliveries/replay", body=body, query=query))


@click.group(cls=structure.Group)
def calls() -> None:
    """List calls that came in by webhook, and carry one out again."""


@calls.command("list")
@click.option("--service", help="Those about this service.")
@click.option("--verdict", help="Those with this verdict.")
@_LIMIT
def list_calls(session: Session, limit: int, **query: str | None) -> None:
    """List calls, the newest first."""
    rows = resources.all_rows(session, "/inbound-calls", "calls", query, limit=limit)
    session.show({"calls": rows}, rows="calls", columns=CALLS)


@calls.command("get")
@click.argument("call_id")
def get_call(session: Session, call_id: str) -> None:
    """Show a call."""
    session.show(session.saga.call("GET", f"/inbound-calls/{segment(call_id)}"))


@calls.command("replay")
@click.argument("call_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def replay_call(session: Session, call_id: str, yes: bool) -> None:
    """Carry a call out again, with your rights."""
    session.confirm(f"Carry call {call_id} out again?", is_sure=yes)
    session.show(session.saga.call("POST", f"/inbound-calls/{segment(call_id)}/replay"))
