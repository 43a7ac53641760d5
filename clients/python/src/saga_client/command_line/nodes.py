"""``saga nodes``: the hosts that install by an agent."""

from __future__ import annotations

import click

from saga_client import transport
from saga_client.command_line import structure
from saga_client.command_line.session import Session

LISTED = "name status joined_at approved_by seen_at"


@click.group(cls=structure.Group)
def nodes() -> None:
    """Add hosts as nodes; approve, rotate and revoke them."""


@nodes.command("list")
@click.option("--status", type=click.Choice(["pending", "approved", "revoked"]))
@click.option("--limit", type=int, help="At most so many [default: 100].")
@click.option("--offset", type=int, help="Leave out the first so many.")
def list_nodes(session: Session, **query: object) -> None:
    """List nodes that have an agent."""
    session.show(session.saga.call("GET", "/nodes", query=query), rows="nodes", columns=LISTED)


@nodes.command()
@click.argument("name")
def get(session: Session, name: str) -> None:
    """Show a node, with what its agent says of the host."""
    session.show(session.saga.call("GET", f"/nodes/{transport.segment(name)}"))


@nodes.command("join-token")
@click.argument("name")
@click.option("--hours", type=int, help="How long it is good [default: 1].")
@click.option("--approve", is_flag=True, help="The node needs no approval afterwards.")
def join_token(session: Session, name: str, hours: int | None, approve: bool) -> None:
    """Print a token with which one host joins as node NAME, once: `saga agent join --token …`."""
    body = {"name": name, "approve": approve}
    if hours is not None:
        body["hours"] = hours
    answer = session.saga.call("POST", "/nodes/join-tokens", body=body)
    if session.is_structured:
        session.show(answer)
    else:
        click.echo(answer["join_token"])


@nodes.command()
@click.argument("name")
def approve(session: Session, name: str) -> None:
    """Approve a node that joined: it works from now on."""
    session.show(session.saga.call("POST", f"/nodes/{transport.segment(name)}/approve"))


@nodes.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(session: Session, name: str, yes: bool) -> None:
    """Revoke a node: its tokens and its work end at once."""
    session.confirm(f"Revoke node {name}?", is_sure=yes)
    session.show(session.saga.call("POST", f"/nodes/{transport.segment(name)}/revoke"))


@nodes.command()
@click.argument("name")
def rotate(session: Session, name: str) -> None:
    """Have the agent of a node fetch another token."""
    session.show(session.saga.call("POST", f"/nodes/{transport.segment(name)}/rotate"))


@nodes.command()
@click.argument("name")
@click.argument("services", nargs=-1)
@click.option("--none", "is_empty", is_flag=True, help="Name no service to it any more.")
def services(session: Session, name: str, services: tuple[str, ...], is_empty: bool) -> None:
    """Name the SERVICES that the agent of node NAME registers, beside those of its targets.

    They replace those that were named before.
    """
    if bool(services) == is_empty:
        raise click.UsageError("Name the services, or say --none.")
    path = f"/nodes/{transport.segment(name)}/services"
    session.show(session.saga.call("POST", path, body={"services": list(services)}))
