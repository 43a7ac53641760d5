"""What the notification rules found."""

from __future__ import annotations

import click

from saga_client.command_line import resources, structure
from saga_client.command_line.session import Session
from saga_client.transport import segment

COLUMNS = "id service_name severity state message opened_at resolved_at"


@click.group(cls=structure.Group)
def alerts() -> None:
    """What the rules found: open and resolved problems."""


@alerts.command("list")
@click.option("--service", help="Those of this service.")
@click.option("--state", help="open or resolved.")
@click.option("--severity", help="info, warning, error or critical.")
@click.option("--limit", type=int, default=50, show_default=True, help="At most so many.")
def list_alerts(session: Session, limit: int, **query: str | None) -> None:
    """List alerts, the newest first."""
    rows = resources.all_rows(session, "/alerts", "alerts", query, limit=limit)
    session.show({"alerts": rows}, rows="alerts", columns=COLUMNS)


@alerts.command()
@click.argument("alert_id")
def get(session: Session, alert_id: str) -> None:
    """Show an alert."""
    session.show(session.saga.call("GET", f"/alerts/{segment(alert_id)}"))


@alerts.command()
@click.argument("alert_id")
def acknowledge(session: Session, alert_id: str) -> None:
    """Acknowledge the alert: an open alert is not repeated any more."""
    session.show(session.saga.call("POST", f"/alerts/{segment(alert_id)}/acknowledge"))
