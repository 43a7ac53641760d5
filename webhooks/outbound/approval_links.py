"""Links and buttons that a message about an awaited approval carries.

A link is ``…/<id>.<proof>``. The proof is an HMAC of the id under Saga's key: it is added when the message is
sent, so that neither a delivery nor the database holds a link that works.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hmac
import re
import uuid
from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse
from django.utils import crypto as django_crypto

from updates.models import Approval, ApprovalDecision
from webhooks.models import Alert, ApprovalLink, Delivery, Endpoint
from webhooks.outbound.channels.notification import Notification

PROBLEM = "approval"
LIFE = dt.timedelta(hours=24)
WITHHELD = "proof-withheld"
#: Options of a channel: the one reader of its links, and the people behind the users of its buttons.
APPROVER, APPROVERS = "approver", "approvers"
#: A text that was cut off has the beginning of one.
_PROOF = re.compile(r"(\b[0-9a-f]{32}\.)[0-9a-f]{1,64}\b", re.ASCII)
_SALT = "saga.approval-link"
_LABELS = (
    ("Approve", ApprovalDecision.Verdict.APPROVED),
    ("Reject", ApprovalDecision.Verdict.REJECTED),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """What a message about one awaited approval offers; ``links`` are not saved yet."""

    approval: Approval
    links: Sequence[ApprovalLink] = ()
    has_buttons: bool = False

    def put_into(self, notification: Notification) -> Notification:
        actions = tuple(
            (label, address_of(f"{link.pk.hex}.{WITHHELD}"))
            for (label, _), link in zip(_LABELS, self.links, strict=False)
        )
        buttons = button_of(self.approval) if self.has_buttons else ""
        return dataclasses.replace(notification, actions=actions, buttons=buttons)


def is_offered(endpoint: Endpoint) -> bool:
    """Whether messages of the channel may carry links or buttons."""
    return _has_links(endpoint) or _has_buttons(endpoint)


def offer(endpoint: Endpoint, alerts: Sequence[Alert], *, now: dt.datetime) -> Offer | None:
    """Return what a message about these alerts offers; None unless it is about one awaited approval."""
    if len(alerts) != 1 or alerts[0].problem != PROBLEM or not is_offered(endpoint):
        return None
    approval = (
        Approval.objects.filter(
            service__name=alerts[0].service_name,
            release__version=alerts[0].subject,
            state=Approval.State.PENDING,
        )
        .select_related("release")
        .first()
    )
    if approval is None:
        return None
    links = [_link(approval, endpoint, verdict, now=now) for _, verdict in _LABELS]
    return Offer(
        approval=approval,
        links=links if _has_links(endpoint) else (),
        has_buttons=_has_buttons(endpoint),
    )


def _link(
    approval: Approval, endpoint: Endpoint, verdict: str, *, now: dt.datetime
) -> ApprovalLink:
    ends = [now + LIFE, *([approval.expires_at] if approval.expires_at else [])]
    return ApprovalLink(
        approval=approval,
        verdict=verdict,
        approver=str(endpoint.options.get(APPROVER, "")),
        fingerprint=approval.release.fingerprint,
        expires_at=min(ends),
    )


def _has_links(endpoint: Endpoint) -> bool:
    return bool(settings.SAGA_PUBLIC_URL and endpoint.options.get(APPROVER))


def _has_buttons(endpoint: Endpoint) -> bool:
    return bool(endpoint.sealed_signing_secret and endpoint.options.get(APPROVERS))


def button_of(approval: Approval) -> str:
    """Return the value of a button: the approval, and the artifact that it was asked for."""
    return f"{approval.pk}:{approval.release.fingerprint}"


def address_of(token: str) -> str:
    return settings.SAGA_PUBLIC_URL + reverse("admin:console_approval_link", args=[token])


def token_of(link_id: uuid.UUID) -> str:
    return f"{link_id.hex}.{_proof(link_id)}"


def read_token(token: str) -> uuid.UUID | None:
    """Return the id of a token's link, None unless Saga made the token."""
    name, _, proof = token.partition(".")
    try:
        link_id = uuid.UUID(hex=name)
    except ValueError:
        return None
    is_ours = name == link_id.hex and hmac.compare_digest(proof.encode(), _proof(link_id).encode())
    return link_id if is_ours else None


def _proof(link_id: uuid.UUID) -> str:
    return django_crypto.salted_hmac(_SALT, link_id.hex, algorithm="sha256").hexdigest()


def is_sent_to(endpoint: Endpoint | None, approver: str) -> bool:
    """Whether the channel is still the approver's; one that leads elsewhere now has lost it."""
    return endpoint is not None and endpoint.options.get(APPROVER) == approver


def withhold(text: str) -> str:
    """Return an answer without the proofs of links: Slack's API, for one, repeats the message."""
    return _PROOF.sub(rf"\1{WITHHELD}", text)


def prove(body: bytes, delivery: Delivery) -> bytes:
    """Return the body of a message with the proofs of the links that belong to it, and to its reader now."""
    if WITHHELD.encode() not in body:
        return body
    for pk, approver in delivery.approval_links.values_list("pk", "approver"):
        if not is_sent_to(delivery.endpoint, approver):
            continue
        body = body.replace(f"{pk.hex}.{WITHHELD}".encode(), token_of(pk).encode())
    return body
