"""``saga approvals``: the decision of a second person."""

from __future__ import annotations

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session

LISTED = "id service_name version kind state requested_at requested_by request_reason"


@click.group(cls=structure.Group)
def approvals() -> None:
    """List what awaits a second person, and decide."""


@approvals.command("list")
@click.option("--service", help="Those of this service.")
@click.option(
    "--state", default="pending", show_default=True, help="Those in this state; '' for all."
)
@click.option("--limit", type=int, help="At most so many [default: 100].")
def list_approvals(session: Session, service: str | None, state: str, limit: int | None) -> None:
    """List approvals, newest first."""
    query = {"service": service, "state": state or None, "limit": limit}
    session.show(
        session.saga.call("GET", "/approvals", query=query), rows="approvals", columns=LISTED
    )


@approvals.command()
@click.argument("approval_id", type=int)
def get(session: Session, approval_id: int) -> None:
    """Show an approval."""
    session.show(session.saga.call("GET", f"/approvals/{approval_id}"))


@approvals.command()
@click.argument("approval_id", type=int)
@click.option("--reason", help="Why.")
@click.option(
    "--override-reason", help="Despite freezes, windows, quarantine; takes admin:registry."
)
def approve(session: Session, approval_id: int, **fields: str | None) -> None:
    """Approve: the deployment begins."""
    body = {key: value for key, value in fields.items() if value}
    session.show(session.saga.call("POST", f"/approvals/{approval_id}/approve", body=body))


@approvals.command()
@click.argument("approval_id", type=int)
@click.option("--reason", required=True, help="Why.")
def reject(session: Session, approval_id: int, reason: str) -> None:
    """Reject: the deployment does not happen."""
    body = {"reason": reason}
    session.show(session.saga.call("POST", f"/approvals/{approval_id}/reject", body=body))
