"""Gitea's payloads; Forgejo and Gogs send the same under headers of their own. Pure.

The signature is over the JSON, also where it is sent in a form.
"""

from __future__ import annotations

from collections.abc import Callable

import updates.operations
from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

PUSHES = frozenset({"push", "create", "package"})
RECORDED_BY = frozenset({"published", "updated"})


def reader(title: str, brand: str) -> Callable[[Headers, Document], Message]:
    """Return the reader of the events that ``X-<brand>-Event`` names."""

    def read(headers: Headers, document: Document) -> Message:
        event = headers.get(f"x-{brand}-event")
        if event is None:
            return messages.without_event(title, f"X-{brand.capitalize()}-Event")
        place = messages.text(messages.at(document, "repository", "full_name"))
        if event == "ping":
            return messages.ping(title)
        if event == "release":
            return _release(title, document, place)
        if event in PUSHES:
            pushed = f"a push to {messages.shown(place)}"
            return Message(pushed=pushed, kind="gitea", place=place)
        return messages.unknown(title, event)

    return read


def _release(title: str, document: Document, place: str) -> Message:
    release, action = document.get("release"), document.get("action")
    if not isinstance(release, dict) or action not in RECORDED_BY | {"deleted"}:
        return messages.unknown(title, f"release {action}")
    notice = updates.operations.ReleaseNotice(
        kind="gitea", repository=place, item=release, is_withdrawn=action == "deleted"
    )
    return Message(notice=(notice,), kind="gitea", place=place)


def sender(name: str, title: str) -> Sender:
    return Sender(
        name=name,
        title=title,
        read=reader(title, name),
        body=messages.json_or_form_body,
        signed=messages.form_payload,
        signature_headers=(f"x-{name}-signature",),
        message_id=messages.header_id(f"x-{name}-delivery"),
    )


SENDER = sender("gitea", "Gitea")
