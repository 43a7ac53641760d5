"""How hosts become nodes, and cease to be: join tokens, approval, rotation of tokens, revocation."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from registry import names
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import ServiceAccount, Token
from saga_project.shared import transitions
from updates import errors
from updates.history import audit
from updates.models import JoinToken, Node, NodeOrder
from updates.operations import agent_work
from updates.rollouts import nodes
from updates.rollouts.agents import envelopes, orders

SCOPES = ("nodes:work", "artifacts:read")
JOIN_MARK = "sagajoin_"
MAX_JOIN_HOURS = 7 * 24
MAX_FACTS = 50


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What an agent keeps: its token is nowhere else."""

    node: Node
    token: str
    public_key: str


def make_join_token(
    name: str, *, hours: int, is_approving: bool, by: Caller | None, now: dt.datetime
) -> str:
    """Return a text with which one host joins as this node, once; it names the control plane's key."""
    _check_name(name)
    if _is_taken(name):
        raise errors.InvalidNode(
            f"The account '{_account_of(name)}' is no node's; choose another name.", field="name"
        )
    text = f"{JOIN_MARK}{secrets.token_urlsafe(24)}.{envelopes.fingerprint(orders.key().public)}"
    with transaction.atomic():
        JoinToken.objects.filter(used_at=None, expires_at__lte=now).delete()
        JoinToken.objects.create(
            node_name=name,
            digest=accounts.digest_of(text),
            is_approving=is_approving,
            created_by=name_of(by),
            created_at=now,
            expires_at=now + dt.timedelta(hours=hours),
        )
        data = {"node": name, "is_approving": is_approving, "hours": hours}
        audit.record("node.join_token_made", actor=name_of(by), data=data, at=now)
    return text


def join(text: str, *, facts: dict[str, Any], now: dt.datetime) -> Joined:
    """Use a join token up; a node that joins again loses its tokens. Raises JoinRefused."""
    with transaction.atomic():
        valid = JoinToken.objects.select_for_update().filter(
            digest=accounts.digest_of(text), used_at=None, expires_at__gt=now
        )
        token = valid.first()
        if token is None:
            raise errors.JoinRefused("The join token is not known, was used, or has expired.")
        token.used_at = now
        token.save(update_fields=["used_at"])
        node = _enter(token.node_name, now)
        node.facts, node.joined_at = _bounded(facts), now
        node.save(update_fields=["facts", "joined_at"])
        if token.is_approving:
            _approve(node, token.created_by, now)
        _, secret = accounts.issue_token(node.account, scopes=SCOPES, name="agent")
        data = {"node": node.name, "status": node.status}
        audit.record("node.joined", actor=f"node {node.name}", data=data, at=now)
    return Joined(node=node, token=secret, public_key=orders.key().public)


def _enter(name: str, now: dt.datetime) -> Node:
    """Return the pending node of this name, without any token."""
    if _is_taken(name):
        raise errors.JoinRefused(f"The account '{_account_of(name)}' is no node's.")
    account = accounts.ensure_account(_account_of(name), scopes=SCOPES)
    node, is_new = Node.objects.get_or_create(
        name=name, defaults={"account": account, "joined_at": now}
    )
    if not is_new:
        # Two hosts that join as one node follow each other: the later one ends the token of the earlier one.
        node = locked(name)
        _end_work(node, now)
        transitions.move(node, Node.Status.PENDING, approved_at=None, approved_by="")
    return node


def approve(name: str, *, by: Caller | None, now: dt.datetime) -> Node:
    """Approve the node, which gets orders from now on. Raises NodeNotFound, NodeNotPending."""
    with transaction.atomic():
        node = locked(name)
        if node.status != Node.Status.PENDING:
            raise errors.NodeNotPending(
                f"The node is {node.status}; only a pending one is approved."
            )
        _approve(node, name_of(by), now)
        audit.record("node.approved", actor=name_of(by), data={"node": name}, at=now)
    return node


def _approve(node: Node, by: str, now: dt.datetime) -> None:
    transitions.require_move(node, Node.Status.APPROVED, approved_at=now, approved_by=by)


def revoke(name: str, *, by: Caller | None, now: dt.datetime) -> Node:
    """End all tokens and orders of the node, at once; it comes back with another join token only."""
    with transaction.atomic():
        node = locked(name)
        _end_work(node, now)
        if transitions.move(node, Node.Status.REVOKED):
            audit.record("node.revoked", actor=name_of(by), data={"node": name}, at=now)
    nodes.forget_agent(name)
    return node


def _end_work(node: Node, now: dt.datetime) -> None:
    for token in Token.objects.filter(account=node.account_id, revoked_at=None):
        accounts.revoke_token(token, at=now)
    NodeOrder.objects.filter(node=node).update(is_cancelled=True)


def request_rotation(name: str, *, by: Caller | None, now: dt.datetime) -> Node:
    """Have the agent fetch another token with its next poll."""
    with transaction.atomic():
        node = locked(name)
        Node.objects.filter(pk=node.pk).update(has_to_rotate=True)
        audit.record("node.rotation_requested", actor=name_of(by), data={"node": name}, at=now)
    node.has_to_rotate = True
    return node


def rotate(node: Node, caller: Caller | None, *, now: dt.datetime) -> str:
    """Return another token of the node; those before it end within the hour. Raises NodeNotAllowed.

    A token that was replaced fetches another one only until its successor was used: what was stolen before a
    rotation buys nothing after it. The unused successor ends.
    """
    with transaction.atomic():
        if locked(node.name).status == Node.Status.REVOKED:  # a moment ago
            raise errors.NodeNotAllowed(f"The node {node.name!r} was revoked.")
        agent_work.check_newest(node, caller)
        for unused in agent_work.successors_of(node, caller).filter(revoked_at=None):
            accounts.revoke_token(unused, at=now)
        old = Token.objects.filter(account=node.account_id, revoked_at=None)
        # The agent has a successor: no event warns of the end of this one.
        old.filter(expires_at=None).update(expires_at=now + agent_work.OVERLAP, warned_at=now)
        _, text = accounts.issue_token(node.account, scopes=SCOPES, name="agent")
        Node.objects.filter(pk=node.pk).update(has_to_rotate=False)
        data = {"node": node.name}
        audit.record("node.token_rotated", actor=f"node {node.name}", data=data, at=now)
    return text


def locked(name: str) -> Node:
    """Lock the node, and its account before it, as a join does (saga_project.shared.locks)."""
    owner_rows = ServiceAccount.objects.select_for_update(of=("self",), no_key=True)
    owner_rows.filter(node__name=name).first()
    # Without its key: an order that is written meanwhile refers to the node, and waits for nothing.
    rows = Node.objects.select_for_update(of=("self",), no_key=True)
    node = rows.select_related("account").filter(name=name).first()
    if node is None:
        raise errors.NodeNotFound(f"There is no node {name[:64]!r} with an agent.")
    return node


def _account_of(name: str) -> str:
    return f"node.{name}"


def _is_taken(name: str) -> bool:
    """Whether an account that is no node's has the name: its rights are not for a host."""
    return ServiceAccount.objects.filter(name=_account_of(name), node=None).exists()


def _check_name(name: str) -> None:
    if not names.is_name(name) or len(name) > 100:
        raise errors.InvalidNode("A node's name has 1 to 100 of A-Z a-z 0-9 . _ -.", field="name")


def _bounded(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that are short texts and numbers: they come from another machine."""
    known = {str(name)[:64]: value for name, value in list(facts.items())[:MAX_FACTS]}
    return {
        name: value[:200].replace("\0", "") if isinstance(value, str) else value
        for name, value in known.items()
        if isinstance(value, str | int | float | bool)
    }


def note_facts(node: Node, facts: dict[str, Any]) -> None:
    """Keep what an agent says of its host."""
    if bounded := _bounded(facts):
        Node.objects.filter(pk=node.pk).update(facts=bounded)


def name_of(by: Caller | None) -> str:
    """Return how the audit trail names a caller."""
    return str(by) if by else "anonymous"
