"""``slack``: a click on a button of a message that Saga posted with a bot's token.

Slack signs each call with the app's signing secret and a timestamp. A click counts for the person that the
channel's option ``approvers`` names for its user, and for nothing without one.
https://docs.slack.dev/authentication/verifying-requests-from-slack
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from saga_project.shared import crypto, errors, http_client, strict_json
from updates.models import Approval, ApprovalDecision
from webhooks.errors import InvalidSignature
from webhooks.inbound.senders import forms
from webhooks.models import Endpoint
from webhooks.operations import approval_links
from webhooks.outbound.approval_links import APPROVERS
from webhooks.outbound.channels import slack

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS = 300
ANSWER_SECONDS = 2.0
ANSWER_HOST = "hooks.slack.com"
_VERDICTS = {
    slack.APPROVE: ApprovalDecision.Verdict.APPROVED,
    slack.REJECT: ApprovalDecision.Verdict.REJECTED,
}


class InvalidAction(errors.InvalidRequest):
    error = "Invalid Slack action"


@dataclasses.dataclass(frozen=True)
class Click:
    """A button, the user that clicked it, and the channel with its people."""

    endpoint: Endpoint
    user: str
    action: str
    value: str
    answer_url: str


@dataclasses.dataclass(frozen=True)
class ClickResult:
    is_recorded: bool
    message: str


def read(raw: bytes, headers: Mapping[str, str], *, now: dt.datetime) -> Click:
    """Return the click of a signed call. Raises InvalidSignature, InvalidAction."""
    endpoints = _signers(raw, headers, now=now)
    try:
        payload = strict_json.loads(forms.payload(raw))
        (action,) = payload["actions"]
        user, channel = payload["user"]["id"], payload["channel"]
        places = {channel["id"], f"#{channel.get('name', '')}", channel.get("name", "")}
        name, value = action["action_id"], action["value"]
        answer_url = payload.get("response_url", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidAction("The payload is no click on a button of Saga's.") from None
    is_text = all(isinstance(each, str) for each in (user, name, value))
    if not is_text or name not in _VERDICTS:
        raise InvalidAction("The payload is no click on a button of Saga's.")
    for endpoint in endpoints:
        if endpoint.options.get("channel") in places:
            return Click(endpoint, user, name, value, str(answer_url))
    raise InvalidAction("No channel of Saga's leads to where this was clicked.")


def act(click: Click, *, now: dt.datetime) -> ClickResult:
    """Decide as the person behind the user, and send the user the result."""
    result = _decide(click, now=now)
    _send_result(click, result)
    return result


def _decide(click: Click, *, now: dt.datetime) -> ClickResult:
    people = click.endpoint.options.get(APPROVERS)
    approver = people.get(click.user) if isinstance(people, Mapping) else None
    if not approver:
        return ClickResult(
            False, f"Saga does not know the Slack user {click.user[:32]}: nothing was decided."
        )
    verdict = _VERDICTS[click.action]
    try:
        approval = approval_links.press(
            click.value,
            verdict=verdict,
            approver=str(approver),
            reason=f"Clicked in Slack by {click.user[:32]}.",
            now=now,
        )
    except errors.SagaError as exc:
        return ClickResult(False, exc.message)
    if approval.state == Approval.State.PENDING:
        return ClickResult(True, f"Your approval of {approval.release} is recorded; it needs more.")
    return ClickResult(True, f"{approval.release} is {approval.state}.")


def _signers(raw: bytes, headers: Mapping[str, str], *, now: dt.datetime) -> list[Endpoint]:
    """Return the channels whose signing secret made the signature. Raises InvalidSignature."""
    signature, stamp = (
        headers.get("x-slack-signature", ""),
        headers.get("x-slack-request-timestamp", ""),
    )
    is_number = stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    if not is_number or abs(now.timestamp() - int(stamp)) > MAX_AGE_SECONDS:
        raise InvalidSignature
    rows = Endpoint.objects.filter(configuration__service=None).exclude(sealed_signing_secret="")
    text = b"v0:" + stamp.encode() + b":" + raw
    found = [row for row in rows.order_by("pk") if _is_signed(row, text, signature)]
    if not found:
        raise InvalidSignature
    return found


def _is_signed(endpoint: Endpoint, text: bytes, signature: str) -> bool:
    secret = crypto.decrypt(endpoint.sealed_signing_secret)
    expected = "v0=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def _is_slacks(url: str) -> bool:
    try:
        return urlsplit(url).hostname == ANSWER_HOST
    except ValueError:
        return False


def _send_result(click: Click, result: ClickResult) -> None:
    """Answer the user alone, in Slack; a message that does not arrive changes nothing."""
    if not _is_slacks(click.answer_url):
        return
    body: dict[str, Any] = {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": result.message,
    }
    try:
        http_client.request(
            "POST",
            click.answer_url,
            purpose="Slack",
            headers={"Content-Type": "application/json"},
            body=strict_json.dumps(body),
            timeout_seconds=ANSWER_SECONDS,
            max_bytes=4096,
            truncate=True,
        )
    except errors.SagaError as exc:
        logger.warning("Slack was not answered", extra={"reason": exc.message})
