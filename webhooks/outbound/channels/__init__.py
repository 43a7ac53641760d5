"""One module for each payload format; an endpoint names its format, or its channel's name does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webhooks.outbound.channels import discord, mail, pagerduty, slack, standard, teams, template
from webhooks.outbound.channels.notification import Notification

STANDARD, SLACK, DISCORD, TEAMS = "standard", "slack", "discord", "teams"
EMAIL, PAGERDUTY, TEMPLATE = "email", "pagerduty", "template"
FORMATS: dict[str, Callable[[Notification], dict[str, Any]]] = {
    STANDARD: standard.render,
    SLACK: slack.render,
    DISCORD: discord.render,
    TEAMS: teams.render,
    EMAIL: mail.render,
    PAGERDUTY: pagerduty.render,
}
ALL_FORMATS = (*FORMATS, TEMPLATE)
#: Channels of these names have these formats where they name none.
_BY_NAME = (SLACK, DISCORD, TEAMS)


def format_of(channel: str, *, url: str = "", named: str = "") -> str:
    """Return the format of a channel: e-mail by its URL, else the named one, else by the channel's name."""
    if url.startswith(mail.SCHEME):
        return EMAIL
    return named or (channel if channel in _BY_NAME else STANDARD)


def render(
    form: str, notification: Notification, *, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the payload in a format; an unknown one is Standard Webhooks."""
    if form == TEMPLATE:
        return template.render(notification, dict(options or {}))
    return FORMATS.get(form, standard.render)(notification)
