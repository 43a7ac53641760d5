"""Which services the agent of a node may keep registered, by the node's own token.

Those that a target on the node names, and those that staff have named to it; of these, the instances of its
own host. Ownership of the service counts where the target is made and where staff name the service.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from registry import operations
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service, ServiceAccount
from updates import errors
from updates.history import audit
from updates.models import AuditEntry, Node, Target
from updates.operations import nodes

MAX_SERVICES = 100
#: The entry of the audit trail about the list of a node.
SERVICES_SET = "node.services_set"


def check_may_act(node: Node, service: str, instance_id: str) -> None:
    """Raise NodeNotAllowed for an instance that is not of the node's host, and for other services."""
    if node.status != Node.Status.APPROVED:
        raise errors.NodeNotAllowed(f"The node {node.name!r} is {node.status}: approve it first.")
    mine = Target.objects.filter(service__name=service, node=node.name)
    instance_ids = set(mine.values_list("instance_id", flat=True))
    if not instance_ids and service not in node.services:
        raise errors.NodeNotAllowed(
            f"The node {node.name!r} has no target of the service {service!r}."
            f" Make one, or name the service to the node: saga nodes services {node.name} {service}"
        )
    is_of_host = instance_id == node.name or instance_id.startswith(f"{node.name}:")
    if not is_of_host and instance_id not in instance_ids - {""}:
        raise errors.NodeNotAllowed(
            f"The instance {instance_id!r} is not one of the node {node.name!r}: its own are"
            f" {node.name!r}, those that begin with {node.name + ':'!r}, and those of its targets."
        )


def register(
    node: Node, registration: operations.Registration, *, now: dt.datetime
) -> operations.Registered:
    """Register an instance of the node's host, or renew it; the service keeps the owner that it has."""
    check_may_act(node, registration.service_name, registration.instance_id)
    return operations.register(registration, by=_as_node(node), now=now)


def renew(node: Node, heartbeat: operations.Heartbeat, *, now: dt.datetime) -> int:
    """Keep an instance of the node's host alive; return its TTL in seconds."""
    check_may_act(node, heartbeat.service_name, heartbeat.instance_id)
    return operations.renew(heartbeat, by=_as_node(node), now=now)


def deregister(node: Node, service: str, instance_id: str, *, now: dt.datetime) -> None:
    """Deregister an instance of the node's host; other instances of the service stay."""
    check_may_act(node, service, instance_id)
    operations.deregister(service, by=_as_node(node), now=now, instance_id=instance_id)


def _as_node(node: Node) -> Caller:
    """Return a caller that the checks above have admitted; what it registers stays its owner's."""
    account = ServiceAccount(name=f"node {node.name}")
    return Caller(account=account, scopes=frozenset(), is_service_account=False, is_super=True)


def set_services(
    name: str, services: Sequence[str], *, by: Caller | None, now: dt.datetime
) -> Node:
    """Name the services that the agent may register beside those of its targets; this replaces the list.

    One that does not exist yet is made without an owner: an account that takes it over learns of the name.
    Raises NodeNotFound, and what ``accounts.check_may_change`` raises for a service that is new in the list.
    """
    chosen = list(dict.fromkeys(services))
    with transaction.atomic():
        _make_missing(chosen)
        node = nodes.locked(name)
        for service in chosen:
            if service not in node.services:
                accounts.check_may_change_named(by, service)
        node.services = chosen
        node.save(update_fields=["services"])
        data = {"node": name, "services": chosen}
        audit.record(SERVICES_SET, actor=nodes.name_of(by), data=data, at=now)
    return node


def _make_missing(services: Sequence[str]) -> None:
    known = set(Service.objects.filter(name__in=services).values_list("name", flat=True))
    for service in sorted({*services} - known):
        operations.ensure_service(service)


def named_to(service: str) -> list[Node]:
    """Return the locked nodes to which the service was named."""
    rows = Node.objects.filter(services__contains=[service]).order_by("pk")
    return list(rows.select_for_update(of=("self",), no_key=True))


def actors_of(node: Node, service: str) -> set[str]:
    """Return which actors of the audit trail named the service to the node, or left its name there."""
    entries = AuditEntry.objects.filter(
        service_name="",  # which has an index
        action=SERVICES_SET,
        data__node=node.name,
        data__services__contains=[service],
    )
    return set(entries.values_list("actor", flat=True))


def take_away(node: Node, service: str, *, actor: str, now: dt.datetime) -> None:
    """Take the service off the list of a locked node."""
    node.services = [name for name in node.services if name != service]
    node.save(update_fields=["services"])
    data = {"node": node.name}
    audit.record("node.service_dropped", actor=actor, service_name=service, data=data, at=now)
