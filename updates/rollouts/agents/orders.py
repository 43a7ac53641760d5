"""Have the agent of a node do what a worker of that node would do: a signed order, and its outcome.

The job, its lease and its journal stay with the worker that asks. An order is a row: it is delivered to the
agent until that reports an outcome, so that an agent that was killed gets it once more and looks at its disk
first. A worker that takes the job over asks anew with a higher fence, and the earlier order ends.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from saga_project.shared import crypto, errors
from updates.models import Node, NodeOrder, OrderKey
from updates.rollouts import nodes
from updates.rollouts.agents import documents, envelopes, results
from updates.step_context import (
    Interrupted,
    NodeAway,
    Outcome,
    StepContext,
    StepFailed,
    TransientFailure,
)

POLL_SECONDS = 0.25
#: An order must begin within this time. It is signed anew while its agent does not report on it.
VALID = dt.timedelta(seconds=60)
SIGNED_ANEW_AFTER = dt.timedelta(seconds=20)
PROBE_SECONDS = 12.0
FETCH = "fetch"

Report = Callable[[int, str], None]


def key() -> OrderKey:
    """Return the key that signs orders, made when it is first needed."""
    known = OrderKey.objects.first()
    if known is None:
        private, public = envelopes.make_key()
        known, _ = OrderKey.objects.get_or_create(
            id=1, defaults={"public": public, "sealed_private": crypto.encrypt(private)}
        )
    return known


def perform(context: StepContext, action: str, *, node: str) -> Outcome:
    """Have the node's agent do the step; raises as the step itself would, and Interrupted without one."""
    try:
        document = documents.describe(context, is_fetching=action == FETCH)
    except errors.SagaError as exc:  # the credentials of the artifact's host
        raise TransientFailure(f"The artifact's host could not be asked: {exc.message}") from exc
    answer = ask(
        node,
        subject=f"{context.service_name}/{context.target.name}",
        fence=context.fence,
        action=action,
        document=document,
        checkpoint=context.checkpoint,
        report=context.report,
    )
    message = str(answer.get("message", ""))
    if answer["kind"] == "succeeded":
        return results.outcome_of(answer, context, action)
    if answer["kind"] == "transient":
        raise TransientFailure(message)
    raise StepFailed(message)


def probe(node: str, url: str) -> str | None:
    """Return why a health URL, called by the node's agent, does not vouch for the instance, or None."""
    ends_at = time.monotonic() + PROBE_SECONDS

    def checkpoint() -> None:
        if time.monotonic() > ends_at:
            raise Interrupted

    try:
        answer = ask(
            node,
            subject=f"probe {url}"[:400],
            action="probe",
            document={"url": url},
            checkpoint=checkpoint,
        )
    except Interrupted:
        return f"the agent of node {node} did not answer"
    return str(answer["message"]) if answer["kind"] != "succeeded" else None


def probe_in_thread(node: str, url: str) -> str | None:
    """The same in a thread of its own, which gives its connection back."""
    try:
        return probe(node, url)
    finally:
        connections.close_all()


def ask(
    node: str,
    *,
    subject: str,
    action: str,
    document: dict[str, Any],
    checkpoint: Callable[[], None],
    report: Report = lambda _percent, _message: None,
    fence: int = 0,
) -> dict[str, Any]:
    """Return what the agent reports: ``kind`` (succeeded, failed, transient), ``message``, ``result``.

    Raises what ``checkpoint`` raises, NodeAway once the agent has not reported for too long, and
    Interrupted where the order was cancelled.
    """
    order = _place(node, subject, fence, action, document)
    if order is None:
        raise StepFailed(f"The node {node!r} is not approved.")
    try:
        while True:
            checkpoint()
            row = NodeOrder.objects.filter(pk=order.pk).first()
            if row is None or row.is_cancelled:
                raise Interrupted
            if row.outcome is not None:
                return dict(row.outcome)
            if not nodes.has_worker(node):
                raise NodeAway
            if row.seen_at:
                report(row.progress, row.message)
            _sign_anew(row, action, document)
            time.sleep(POLL_SECONDS)
    finally:
        NodeOrder.objects.filter(pk=order.pk).delete()


def _place(
    node: str, subject: str, fence: int, action: str, document: dict[str, Any]
) -> NodeOrder | None:
    """Write the order; those before it on the same subject end."""
    with transaction.atomic():
        rows = Node.objects.select_for_update(
            no_key=True
        )  # before its orders, as a revocation does
        row = rows.filter(name=node, status=Node.Status.APPROVED).first()
        if row is None:
            return None
        order = NodeOrder(node=row, subject=subject, fence=fence, created_at=timezone.now())
        _sign(order, action, document)
        if fence:
            older = NodeOrder.objects.filter(node=row, subject=subject, fence__lte=fence)
            older.update(is_cancelled=True)
        order.save(force_insert=True)
    return order


def _sign(order: NodeOrder, action: str, document: dict[str, Any]) -> None:
    now = timezone.now()
    order.expires_at = now + VALID
    content = {
        "id": str(order.pk),
        "node": order.node.name,
        "subject": order.subject,
        "fence": order.fence,
        "action": action,
        "issued_at": now.isoformat(),
        "expires_at": order.expires_at.isoformat(),
        "document": document,
    }
    order.sealed_envelope = crypto.encrypt(envelopes.sign(content, private=key().private))


def _sign_anew(order: NodeOrder, action: str, document: dict[str, Any]) -> None:
    """Keep an order valid that waits for its agent; one that is under way need not begin again."""
    now = timezone.now()
    is_due = order.expires_at - VALID + SIGNED_ANEW_AFTER < now
    if is_due and (order.seen_at is None or order.seen_at < now - SIGNED_ANEW_AFTER):
        _sign(order, action, document)
        fields = {"expires_at": order.expires_at, "sealed_envelope": order.sealed_envelope}
        NodeOrder.objects.filter(pk=order.pk, outcome__isnull=True).update(**fields)
