"""Pushes to repositories of Bitbucket Cloud and Bitbucket Data Center; pure."""

from __future__ import annotations

from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "Bitbucket"
PUSHES = frozenset({"repo:push", "repo:refs_changed"})


def read(headers: Headers, document: Document) -> Message:
    event = headers.get("x-event-key")
    if event is None:
        return messages.without_event(TITLE, "X-Event-Key")
    if event == "diagnostics:ping":
        return messages.ping(TITLE)
    if event not in PUSHES:
        return messages.unknown(TITLE, event)
    repository = document.get("repository")
    name = messages.at(repository, "full_name") or messages.at(repository, "slug")
    return Message(pushed=f"a push to {messages.shown(name)}")


SENDER = Sender(
    name="bitbucket",
    title=TITLE,
    read=read,
    signature_headers=("x-hub-signature",),
    message_id=messages.header_id("x-request-uuid", "x-request-id"),
)
