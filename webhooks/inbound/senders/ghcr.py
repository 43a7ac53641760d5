"""GitHub's container registry: the package events of GitHub's webhooks; pure."""

from __future__ import annotations

from webhooks.inbound.senders import github, messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "GitHub's container registry"


def read(headers: Headers, document: Document) -> Message:
    event = headers.get(github.EVENT_HEADER, "ping")
    if event not in {"ping", *github.PACKAGES}:
        return messages.unknown(TITLE, event)
    return github.read_any(headers, document)


SENDER = Sender(
    name="ghcr",
    title=TITLE,
    read=read,
    body=messages.json_or_form_body,
    message_id=messages.header_id("x-github-delivery"),
)
