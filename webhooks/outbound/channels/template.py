"""A POST with a text of the channel's own: for Mattermost, ntfy, Telegram and the like.

``string.Template`` knows names and nothing else: no expressions, no attributes, no files.
"""

from __future__ import annotations

import datetime as dt
import json
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from webhooks.outbound.channels.notification import Notification

MAX_LENGTH = 10_000
MAX_BODY = 256_000
NAMES = ("service_name", "message", "severity", "state", "rule", "link", "created_at", "count")


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


ESCAPES: dict[str, Callable[[str], str]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": quote_plus,
    "text/plain": str,
}


def check(text: str, *, content_type: str) -> None:
    """Raise ValueError that says what is wrong with a template."""
    template = string.Template(text)
    if len(text) > MAX_LENGTH:
        raise ValueError(f"A template has at most {MAX_LENGTH} characters.")
    if content_type not in ESCAPES:
        raise ValueError(f"A content type is one of {', '.join(ESCAPES)}.")
    if not template.is_valid():
        raise ValueError("A '$' begins a name, such as $message; write '$$' for the character.")
    if unknown := [name for name in template.get_identifiers() if name not in NAMES]:
        names = ", ".join(f"${name}" for name in NAMES)
        raise ValueError(f"There is no ${unknown[0]}; there are {names}.")
    if content_type == "application/json":
        example = Notification('a"b', 'c"\\\nd', "info", dt.datetime.now(dt.UTC))
        try:
            json.loads(_fill(text, example, content_type=content_type))
        except ValueError as exc:
            raise ValueError(f"With values in it this is no JSON: {exc}") from exc


def render(notification: Notification, options: dict[str, Any]) -> dict[str, Any]:
    content_type = str(options["content_type"])
    body = _fill(str(options["template"]), notification, content_type=content_type)
    return {"content_type": content_type, "body": body[:MAX_BODY]}


def _fill(text: str, notification: Notification, *, content_type: str) -> str:
    escape = ESCAPES[content_type]
    details = notification.details
    values = {
        "service_name": notification.service_name,
        "message": notification.message,
        "severity": notification.severity,
        "state": str(details.get("state", "open")),
        "rule": str(details.get("rule", "")),
        "link": notification.link,
        "created_at": notification.created_at.isoformat(),
        "count": str(details.get("count", 1)),
    }
    return string.Template(text).substitute({name: escape(value) for name, value in values.items()})
