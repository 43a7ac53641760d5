"""Slack: incoming webhooks, and with a bot's token chat.postMessage, which can answer in a thread.

https://docs.slack.dev/messaging/formatting-message-text
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from webhooks.outbound.channels.notification import Notification, cut
from webhooks.outbound.retry_schedule import AttemptOutcome

POST, UPDATE = "chat.postMessage", "chat.update"
API_URL = f"https://slack.com/api/{POST}"
#: A message that cannot be changed any more: the next attempt writes into its thread.
UNCHANGEABLE = ("message_not_found", "cant_update_message", "edit_window_closed")
TRANSIENT = (
    "ratelimited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
)

MAX_CHARACTERS = 40_000
MAX_SECTION = 3_000
#: The buttons of a message about an awaited approval: name, label, style.
APPROVE, REJECT = "saga_approve", "saga_reject"
_BUTTONS = ((APPROVE, "Approve", "primary"), (REJECT, "Reject", "danger"))
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _escape(character: str) -> str:
    return _ENTITIES.get(character, character)


def render(notification: Notification) -> dict[str, Any]:
    """Escaping ``<`` also defuses ``<!channel>`` and ``<@U123>``; bare names are not to be linked."""
    link = "".join(
        f"\n<{address}|{label}>" if notification.actions else f"\n<{address}>"
        for label, address in notification.links
    )
    message: dict[str, Any] = {
        "text": cut(notification.line, MAX_CHARACTERS - len(link), escape=_escape) + link,
        "link_names": False,
        "parse": "none",
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if state := notification.details.get("state"):
        message["metadata"] = {"event_type": "saga_alert", "event_payload": {"state": state}}
    if notification.buttons:
        text = cut(notification.line, MAX_SECTION - len(link), escape=_escape) + link
        message["blocks"] = [
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},
            {
                "type": "actions",
                "elements": [_button(*each, value=notification.buttons) for each in _BUTTONS],
            },
        ]
    return message


def _button(action: str, label: str, style: str, *, value: str) -> dict[str, Any]:
    """Slack asks once more before it sends the click."""
    return {
        "type": "button",
        "action_id": action,
        "style": style,
        "value": value,
        "text": {"type": "plain_text", "text": label},
        "confirm": {
            "title": {"type": "plain_text", "text": f"{label}?"},
            "text": {"type": "plain_text", "text": "Your name stands beside the decision."},
            "confirm": {"type": "plain_text", "text": label},
            "deny": {"type": "plain_text", "text": "Leave it"},
        },
    }


def read_answer(outcome: AttemptOutcome) -> AttemptOutcome:
    """Return what an answer means: Slack's API refuses with 200 and ``"ok": false``."""
    try:
        answer = json.loads(outcome.answer)
    except (ValueError, RecursionError):
        return outcome  # an incoming webhook answers with a word
    if outcome.status != 200 or not isinstance(answer, dict) or "ok" not in answer:
        return outcome
    if answer["ok"] is True:
        return dataclasses.replace(outcome, message_id=str(answer.get("ts") or "")[:64])
    error = str(answer.get("error") or "unknown")[:100]
    is_transient = error in TRANSIENT or error in UNCHANGEABLE
    return dataclasses.replace(
        outcome,
        status=None if is_transient else outcome.status,
        error=f"Slack refused it: {error}.",
        is_refused=not is_transient,
    )


def is_end(payload: Mapping[str, Any]) -> bool:
    """Return whether a message says that what it is about has ended."""
    return bool(payload.get("metadata", {}).get("event_payload", {}).get("state") == "resolved")
