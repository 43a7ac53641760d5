"""``saga services``: register, find, watch and deregister."""

from __future__ import annotations

import click

from saga_client.command_line import arguments, events, structure
from saga_client.command_line.session import Session
from saga_client.transport import segment

LISTED = "service_name service_url capabilities registered_at last_heartbeat"
INSTANCES = "instance_id service_url health weight zone version last_heartbeat"


@click.group(cls=structure.Group)
def services() -> None:
    """Register, find, watch and deregister services."""


@services.command("list")
@click.option("--capability", help="Those with this capability: rest, graphql, grpc or mcp.")
@click.option("--version", help="Those in this range, such as '>=1.4,<2'.")
@click.option("--zone", help="Those in this zone.")
@click.option("-l", "--label", help="Those that a selector picks, such as env=prod,team!=pay.")
@click.option("-s", "--search", help="Those with this in their name or URL.")
@click.option("--limit", type=int, help="At most so many.")
def list_services(
    session: Session,
    capability: str | None,
    version: str | None,
    zone: str | None,
    label: str | None,
    search: str | None,
    limit: int | None,
) -> None:
    """List the live, approved services."""
    query = {
        "capability": capability,
        "version": version,
        "zone": zone,
        "label": label,
        "q": search,
        "limit": limit,
    }
    session.show(
        session.saga.call("GET", "/services", query=query), rows="services", columns=LISTED
    )


@services.command()
@click.argument("name")
def get(session: Session, name: str) -> None:
    """Show a service."""
    session.show(session.saga.service(name))


@services.command()
@click.argument("name")
@click.argument("url")
@click.option("--version", help="The version that runs.")
@click.option(
    "--capability", "capabilities", multiple=True, help="rest, graphql, grpc or mcp; repeatable."
)
@click.option("--instance-id", help="Which of its instances this is.")
@click.option("--zone", help="Where it runs.")
@click.option("--weight", type=int, help="Its share of the calls.")
@click.option("--ttl", type=int, help="Seconds that it lives after a heartbeat.")
@click.option("--health-check-url", help="Address that answers 2xx while it is well.")
@click.option("--metadata", multiple=True, help="key=value; repeatable.")
def register(
    session: Session,
    name: str,
    url: str,
    capabilities: tuple[str, ...],
    metadata: tuple[str, ...],
    **fields: object,
) -> None:
    """Register a service once. To keep it alive, use `saga run` or the library."""
    given = {key: value for key, value in fields.items() if value is not None}
    if metadata:
        given["metadata"] = arguments.pairs(metadata)
    if capabilities:
        given["capabilities"] = list(capabilities)
    session.show(session.saga.register(name, url, **given))


@services.command()
@click.argument("name")
@click.option("--instance-id", help="Which of its instances.")
@click.option("--status", type=click.Choice(["passing", "warning", "critical"]))
@click.option("--version", help="The version that runs.")
@click.option("--note", help="Why it is so.")
def heartbeat(session: Session, name: str, **fields: str | None) -> None:
    """Send one heartbeat."""
    given = {key: value for key, value in fields.items() if value is not None}
    session.show(session.saga.heartbeat(name, **given))


@services.command()
@click.argument("name")
@click.option("--instance-id", help="Only this instance.")
def deregister(session: Session, name: str, instance_id: str | None) -> None:
    """Deregister a service, or one of its instances."""
    session.show(session.saga.deregister(name, instance_id=instance_id))


@services.command()
@click.argument("name")
def instances(session: Session, name: str) -> None:
    """List the instances of a service."""
    document = session.saga.call("GET", f"/services/{segment(name)}/instances")
    session.show(document, rows="instances", columns=INSTANCES)


@services.command()
@click.argument("name")
@click.option("--version", help="In this range, such as '>=1.4,<2'.")
@click.option("--zone", help="Preferred zone.")
@click.option("--capability", help="With this capability.")
@click.option("--exclude", multiple=True, help="Not this instance; repeatable.")
@click.option("--sticky", help="The same key gets the same instance.")
def resolve(session: Session, name: str, exclude: tuple[str, ...], **criteria: str | None) -> None:
    """Pick an instance, by weight among the passing."""
    query = {**criteria, "exclude": ",".join(exclude) or None}
    session.show(session.saga.call("GET", f"/services/{segment(name)}/resolve", query=query))


@services.command()
@click.argument("name", required=False)
def watch(session: Session, name: str | None) -> None:
    """Follow what happens to a service, or to all, until Ctrl-C."""
    events.follow(session, service=(name,) if name else (), kinds=("service.*", "health.changed"))


@services.command()
@click.argument("name")
def approve(session: Session, name: str) -> None:
    """Approve a service: lookups find it from now on."""
    body = {"decision": "approve"}
    session.show(session.saga.call("POST", f"/services/{segment(name)}/approval", body=body))


@services.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why.")
def reject(session: Session, name: str, reason: str) -> None:
    """Reject a service: lookups do not find it."""
    body = {"decision": "reject", "reason": reason}
    session.show(session.saga.call("POST", f"/services/{segment(name)}/approval", body=body))


@services.command()
@click.argument("name")
@click.option("--instance-id", help="Which one [default: the only one].")
@click.option("--reason", help="Why.")
@click.option("--undo", is_flag=True, help="Put it back in the lookups.")
def drain(
    session: Session, name: str, instance_id: str | None, reason: str | None, undo: bool
) -> None:
    """Take one instance out of the lookups while others are there, or put it back.

    Its heartbeats go on, and its weight is 0 until it is put back.
    """
    path = f"/services/{segment(name)}/maintenance"
    chosen = instance_id or _only_instance(session, name)
    session.show(_maintained(session, path, chosen, reason, is_over=undo))


def _only_instance(session: Session, name: str) -> str:
    found = [each.instance_id for each in session.saga.instances(name)]
    if len(found) != 1:
        known = ", ".join(sorted(found)) or "none"
        raise click.UsageError(f"Name one of its instances with --instance-id ({known}).")
    return found[0]


@services.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@click.option("--reason", help="Why.")
def maintenance(session: Session, name: str, state: str | None, reason: str | None) -> None:
    """Show what is in maintenance, or take a service out of the lookups (on) and put it back (off)."""
    path = f"/services/{segment(name)}/maintenance"
    if state is None:
        session.show(session.saga.call("GET", path))
    else:
        session.show(_maintained(session, path, None, reason, is_over=state == "off"))


def _maintained(
    session: Session, path: str, instance_id: str | None, reason: str | None, *, is_over: bool
) -> object:
    if is_over:
        return session.saga.call("DELETE", path, query={"instance_id": instance_id})
    given = {"instance_id": instance_id, "reason": reason}
    body = {key: value for key, value in given.items() if value}
    return session.saga.call("PUT", path, body=body)


@services.command()
@click.argument("name")
def uptime(session: Session, name: str) -> None:
    """Show how much of the time a service was up, by its health checks."""
    session.show(session.saga.call("GET", f"/services/{segment(name)}/uptime"))


@services.command()
@click.argument("name")
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE|KEY-]...")
@click.option("--replace", is_flag=True, help="Take away the labels that are not named.")
def label(session: Session, name: str, labels: tuple[str, ...], replace: bool) -> None:
    """Show the labels of a service, or change them: env=prod sets one, env- takes it away."""
    path = f"/services/{segment(name)}/labels"
    removed = [text for text in labels if text.endswith("-") and "=" not in text]
    changes: dict[str, str | None] = {**arguments.pairs(set(labels) - set(removed))}
    if replace:
        session.show(session.saga.call("PUT", path, body={"labels": changes}))
    elif labels:
        changes.update({text.removesuffix("-"): None for text in removed})
        session.show(session.saga.call("PATCH", path, body={"labels": changes}))
    else:
        session.show(session.saga.call("GET", path))
