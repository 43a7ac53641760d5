"""Decide about an approval by a link, or by a button of a message."""

from __future__ import annotations

import datetime as dt

import updates.operations
from updates.models import Approval, ApprovalDecision
from webhooks import errors
from webhooks.models import ApprovalLink
from webhooks.operations import approvers
from webhooks.outbound import approval_links

REJECT = ApprovalDecision.Verdict.REJECTED


def find(token: str) -> ApprovalLink:
    """Return the link of a token. Raises LinkUnknown."""
    link_id = approval_links.read_token(token)
    rows = ApprovalLink.objects.select_related(
        "approval__release", "approval__service", "delivery__endpoint"
    )
    link = rows.filter(pk=link_id).first() if link_id is not None else None
    if link is None:
        raise errors.LinkUnknown("This link is none of Saga's, or was withdrawn.")
    return link


def check_usable(link: ApprovalLink, *, now: dt.datetime) -> None:
    """Raise LinkSpent where the link can decide nothing any more; the message says why."""
    if link.used_at is not None:
        raise errors.LinkSpent("This link was used already.")
    state = link.approval.state
    if state != Approval.State.PENDING:
        raise errors.LinkSpent(f"This link is withdrawn: the request is {state}.")
    if not approval_links.is_sent_to(link.delivery.endpoint, link.approver):
        raise errors.LinkSpent("This link is withdrawn: its channel has another reader now.")
    if link.expires_at <= now:
        raise errors.LinkSpent("This link has expired; the next message has another one.")
    if link.approval.release.fingerprint != link.fingerprint:
        raise errors.LinkSpent("This link is withdrawn: the release has another artifact now.")


def use(link: ApprovalLink, *, reason: str, now: dt.datetime) -> None:
    """Decide as the reader that the link was sent to, once.

    Raises LinkSpent, ApproverRefused, and what approving or rejecting raises: then it can be used again.
    """
    check_usable(link, now=now)
    _decide(
        link.approval,
        verdict=link.verdict,
        approver=link.approver,
        way=ApprovalDecision.Way.LINK,
        fingerprint=link.fingerprint,
        reason=reason,
        now=now,
    )
    # A process that is killed before this leaves a decision, which cannot be made twice.
    ApprovalLink.objects.filter(pk=link.pk).update(used_at=now)


def press(button: str, *, verdict: str, approver: str, reason: str, now: dt.datetime) -> Approval:
    """Decide as the person behind a user of a chat. Raises LinkSpent, and what ``use`` raises."""
    number, _, fingerprint = button.partition(":")
    rows = Approval.objects.select_related("release", "service")
    is_number = number.isascii() and number.isdigit() and len(number) < 19
    approval = rows.filter(pk=int(number)).first() if is_number else None
    if approval is None:
        raise errors.LinkSpent("There is no such request any more.")
    if approval.release.fingerprint != fingerprint:
        raise errors.LinkSpent("The release has another artifact now; look at it in Saga.")
    _decide(
        approval,
        verdict=verdict,
        approver=approver,
        way=ApprovalDecision.Way.SLACK,
        fingerprint=fingerprint,
        reason=reason,
        now=now,
    )
    return approval


def _decide(
    approval: Approval,
    *,
    verdict: str,
    approver: str,
    way: str,
    fingerprint: str,
    reason: str,
    now: dt.datetime,
) -> None:
    account = approvers.check(approver, service=approval.service)
    decide = updates.operations.reject if verdict == REJECT else updates.operations.approve
    decide(
        approval,
        by=approver,
        account=account,
        way=way,
        reason=reason,
        fingerprint=fingerprint,
        now=now,
    )
