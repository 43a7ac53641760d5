"""Messages by e-mail: the addresses of a ``mailto:`` URL, a text and an HTML part."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.html import format_html, format_html_join

from webhooks.outbound.channels.notification import Notification

SCHEME = "mailto:"
MAX_ADDRESSES = 20
MAX_SUBJECT = 200
COLORS = {"info": "#3b6ea5", "warning": "#b26a00", "error": "#b3261e", "critical": "#8c1d18"}


def addresses(url: str) -> list[str]:
    """Return the addresses of a ``mailto:`` URL; raises ValueError that says what is wrong with it."""
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ValueError("An e-mail channel has addresses only: mailto:ops@example.com")
    found = [unquote(each).strip() for each in parts.path.split(",")]
    if not 1 <= len(found) <= MAX_ADDRESSES:
        raise ValueError(f"An e-mail channel has 1 to {MAX_ADDRESSES} addresses.")
    for address in found:
        try:
            validate_email(address)
        except ValidationError:
            raise ValueError(f"{address[:100]!r} is no e-mail address.") from None
    return found


def render(notification: Notification) -> dict[str, Any]:
    about = f"{notification.service_name}: " if notification.service_name else ""
    first, _, _ = notification.message.partition("\n")
    subject = " ".join(f"[{notification.severity}] {about}{first}".split())
    actions = "".join(f"\n\n{label}: {address}" for label, address in notification.actions)
    link = f"{actions}\n\n{notification.link}" if notification.link else actions
    return {
        "subject": subject[:MAX_SUBJECT],
        "text": f"{notification.line}{link}\n",
        "html": _html(notification, about=about),
    }


def _html(notification: Notification, *, about: str) -> str:
    lines = format_html_join(
        "", "<p>{}</p>", ((line,) for line in notification.message.split("\n"))
    )
    link = format_html_join(
        "",
        '<p><a href="{}">{}</a></p>',
        ((address, label) for label, address in notification.links),
    )
    return format_html(
        '<div style="border-left:4px solid {};padding-left:12px;font-family:sans-serif">'
        "<p><strong>{}{}</strong></p>{}{}</div>",
        COLORS[notification.severity],
        about,
        notification.severity,
        lines,
        link,
    )
