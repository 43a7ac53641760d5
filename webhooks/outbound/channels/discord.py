"""Discord's webhooks: https://discord.com/developers/docs/resources/webhook#execute-webhook"""

from __future__ import annotations

from typing import Any

from webhooks.outbound.channels.notification import Notification, cut

MAX_CHARACTERS = 2_000
SUPPRESS_EMBEDS = 1 << 2


def render(notification: Notification) -> dict[str, Any]:
    """Mentions stay text: a service's message must not notify users."""
    link = "".join(
        f"\n{label}: <{address}>" if notification.actions else f"\n<{address}>"
        for label, address in notification.links
    )
    return {
        "content": cut(notification.line, MAX_CHARACTERS - len(link)) + link,
        "allowed_mentions": {"parse": []},
        "flags": SUPPRESS_EMBEDS,
    }
