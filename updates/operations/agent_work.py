"""What an agent asks for and reports: its orders, how far they are, and what came of them."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from registry.identity.accounts import Caller
from registry.models import Token
from saga_project.shared import crypto
from updates import errors
from updates.models import Node, NodeOrder
from updates.rollouts import nodes

MAX_ORDERS = 8
MAX_MESSAGE = 8192
POLL_SECONDS = 0.25
#: Each waiting poll holds a thread of its web process; beyond that the answer comes at once.
MAX_WAITING = 8
#: The token before a rotation is good for so long, for an agent that was killed before it kept the new one.
OVERLAP = dt.timedelta(hours=1)
SEEN_PRECISION = dt.timedelta(seconds=10)
OUTCOMES = ("succeeded", "failed", "transient")

_places = threading.BoundedSemaphore(MAX_WAITING)


def node_of(caller: Caller | None) -> Node:
    """Return the node whose agent calls; raises NodeNotAllowed for any other, and after a revocation."""
    rows = Node.objects.select_related("account")
    node = rows.filter(account=caller.account.pk).first() if caller and caller.token else None
    if node is None:
        raise errors.NodeNotAllowed("This takes the token of a node's agent.")
    if node.status == Node.Status.REVOKED:
        raise errors.NodeNotAllowed(f"The node {node.name!r} was revoked.")
    return node


def has_to_rotate(node: Node, caller: Caller | None, *, now: dt.datetime) -> bool:
    """Whether the agent should get another token: staff asked, or an earlier answer did not reach it."""
    ends_at = caller.expires_at if caller else None
    return node.has_to_rotate or (ends_at is not None and ends_at <= now + OVERLAP)


def successors_of(node: Node, caller: Caller | None) -> QuerySet[Token]:
    """Return the tokens of the node that were made after the caller's."""
    mine = caller.token.pk if caller and caller.token else 0
    return Token.objects.filter(account=node.account_id, pk__gt=mine)


def check_newest(node: Node, caller: Caller | None) -> None:
    """Raise NodeNotAllowed for a token that was replaced by one that the agent has used since.

    What such a token began may still be reported and fetched; it gets no orders and no other token.
    """
    if successors_of(node, caller).exclude(last_used_at=None).exists():
        raise errors.NodeNotAllowed(
            f"This token of the node {node.name!r} was replaced, and its successor is in use."
            " If that is another host's, revoke the node."
        )


def poll(
    node: Node, caller: Caller | None, *, running: Collection[UUID], seconds: float
) -> tuple[str, list[str], list[str]]:
    """Return the node's status, the envelopes of orders that are due, and which running ones were cancelled.

    Waits up to ``seconds`` until there is one of these. Raises NodeNotAllowed where the token was revoked
    meanwhile: the node may have joined again since, on another host.
    """
    _note_life(node)
    if not _places.acquire(blocking=False):
        return _look(node, caller, running)
    try:
        ends_at = time.monotonic() + seconds
        while True:
            found = _look(node, caller, running)
            if found[1] or found[2] or found[0] != node.status or time.monotonic() >= ends_at:
                return found
            if not connection.in_atomic_block:
                connection.close()  # other requests need it more than one that sleeps
            time.sleep(POLL_SECONDS)
    finally:
        _places.release()


def _look(
    node: Node, caller: Caller | None, running: Collection[UUID]
) -> tuple[str, list[str], list[str]]:
    status = Node.objects.filter(pk=node.pk).values_list("status", flat=True).first() or ""
    if status != Node.Status.APPROVED:
        return status, [], [str(pk) for pk in running]
    open_ones = NodeOrder.objects.filter(node=node, outcome__isnull=True, is_cancelled=False)
    known = set(open_ones.filter(pk__in=running).values_list("pk", flat=True))
    due = open_ones.exclude(pk__in=running).filter(expires_at__gt=timezone.now())
    sealed = due.order_by("created_at").values_list("sealed_envelope", flat=True)[:MAX_ORDERS]
    envelopes = [crypto.decrypt(text) for text in sealed]
    if envelopes:
        # After the orders were read: those of a host that joined meanwhile came after this token had ended.
        _check_token(node, caller)
    return status, envelopes, [str(pk) for pk in running if pk not in known]


def _check_token(node: Node, caller: Caller | None) -> None:
    token = caller.token if caller else None
    if token is None or not Token.objects.filter(pk=token.pk, revoked_at=None).exists():
        raise errors.NodeNotAllowed(f"This token of the node {node.name!r} was revoked.")


def _note_life(node: Node) -> None:
    now = timezone.now()
    if node.status == Node.Status.APPROVED:
        nodes.note_agent(node.name)
    if node.seen_at is None or now - node.seen_at > SEEN_PRECISION:
        Node.objects.filter(pk=node.pk).update(seen_at=now)


def report(node: Node, order_id: UUID, *, progress: int, message: str) -> bool:
    """Note how far an order is; False where it should end."""
    _note_life(node)
    mine = NodeOrder.objects.filter(
        pk=order_id, node=node, is_cancelled=False, outcome__isnull=True
    )
    return bool(
        mine.update(progress=progress, message=message[:MAX_MESSAGE], seen_at=timezone.now())
    )


def finish(node: Node, order_id: UUID, outcome: dict[str, Any]) -> bool:
    """Keep the outcome of an order; the first counts. False where the order is over already."""
    _note_life(node)
    outcome["message"] = str(outcome.get("message", ""))[:MAX_MESSAGE]
    # PostgreSQL keeps no NUL.
    outcome = json.loads(json.dumps(outcome).replace("\\u0000", "\\ufffd"))
    mine = NodeOrder.objects.filter(
        pk=order_id, node=node, is_cancelled=False, outcome__isnull=True
    )
    return bool(mine.update(outcome=outcome))
