"""Slack: incoming webhooks, and with a bot's token chat.postMessage, which can answer in a thread.

https://docs.slack.dev/messaging/formatting-message-text
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from webhooks.outbound.channels.notification import Notification, cut
from webhooks.outbound.retry_schedule import AttemptOutcome

API_URL = "https://slack.com/api/chat.postMessage"
TRANSIENT = (
    "ratelimited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
)

MAX_CHARACTERS = 40_000
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _escape(character: str) -> str:
    return _ENTITIES.get(character, character)


def render(notification: Notification) -> dict[str, Any]:
    """Escaping ``<`` also defuses ``<!channel>`` and ``<@U123>``; bare names are not to be linked."""
    link = f"\n<{notification.link}>" if notification.link else ""
    return {
        "text": cut(notification.line, MAX_CHARACTERS - len(link), escape=_escape) + link,
        "link_names": False,
        "parse": "none",
        "unfurl_links": False,
        "unfurl_media": False,
    }


def read_answer(outcome: AttemptOutcome) -> AttemptOutcome:
    """Return what an answer means: Slack's API refuses with 200 and ``"ok": false``."""
    try:
        answer = json.loads(outcome.answer)
    except ValueError:
        return outcome  # an incoming webhook answers with a word
    if outcome.status != 200 or not isinstance(answer, dict) or "ok" not in answer:
        return outcome
    if answer["ok"] is True:
        return dataclasses.replace(outcome, message_id=str(answer.get("ts") or "")[:64])
    error = str(answer.get("error") or "unknown")[:100]
    return dataclasses.replace(
        outcome,
        status=None if error in TRANSIENT else outcome.status,
        error=f"Slack refused it: {error}.",
        is_refused=error not in TRANSIENT,
    )
