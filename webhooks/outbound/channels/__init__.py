"""One module for each payload format; the channel's name decides. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webhooks.outbound.channels import discord, slack, standard, teams
from webhooks.outbound.channels.notification import Notification

FORMATS: dict[str, Callable[[Notification], dict[str, Any]]] = {
    "slack": slack.render,
    "discord": discord.render,
    "teams": teams.render,
}


def render(channel: str, notification: Notification) -> dict[str, Any]:
    """Return the payload that ``channel`` understands; an unknown one gets Standard Webhooks."""
    return FORMATS.get(channel, standard.render)(notification)


def is_standard(channel: str) -> bool:
    return channel not in FORMATS
