"""Microsoft Teams' workflow webhooks, which take an Adaptive Card.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

from typing import Any

from webhooks.outbound.channels.notification import Notification, cut

# Teams refuses messages above 28 KB; a character takes up to six bytes as a JSON escape.
MAX_CHARACTERS = 4_000
COLORS = {"info": "default", "warning": "warning", "error": "attention", "critical": "attention"}


def render(notification: Notification) -> dict[str, Any]:
    """A text run knows neither Markdown nor ``<at>`` mentions, so nothing needs escaping."""
    run = {
        "type": "TextRun",
        "text": cut(notification.line, MAX_CHARACTERS),
        "color": COLORS[notification.severity],
    }
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [run]}],
    }
    if notification.links:
        card["actions"] = [
            {"type": "Action.OpenUrl", "title": label, "url": address}
            for label, address in notification.links
        ]
    content_type = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": content_type, "contentUrl": None, "content": card}],
    }
