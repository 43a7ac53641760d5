"""Slack's incoming webhooks: https://docs.slack.dev/messaging/formatting-message-text"""

from __future__ import annotations

from typing import Any

from webhooks.outbound.channels.notification import Notification, cut

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
