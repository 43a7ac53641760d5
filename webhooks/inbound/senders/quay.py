"""Pushes to Quay, which signs nothing: only the address can be set, so it holds the secret; pure."""

from __future__ import annotations

from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "Quay"


def read(_: Headers, document: Document) -> Message:
    """Read a push; the tags are a list, from old servers an object with digests of layers."""
    tags, location = document.get("updated_tags"), messages.text(document.get("docker_url"))
    if not isinstance(tags, list | dict) or not location:
        return Message(
            ignored=f"{TITLE}'s push has 'updated_tags' and 'docker_url'; this is another event."
        )
    named = [(tag, "") for tag in tags if isinstance(tag, str)]
    return messages.image(TITLE, location, named, is_shared=False)


SENDER = Sender(name="quay", title=TITLE, read=read, takes_access_token=True)
