"""Pushes to Docker Hub, which signs nothing: only the address can be set, so it holds the secret; pure."""

from __future__ import annotations

from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "Docker Hub"


def read(_: Headers, document: Document) -> Message:
    name = messages.text(messages.at(document, "repository", "repo_name"))
    if not name or not isinstance(document.get("push_data"), dict):
        return Message(
            ignored=f"{TITLE} sends 'push_data' and 'repository'; this is something else."
        )
    tag = messages.text(messages.at(document, "push_data", "tag"))
    return messages.image(TITLE, f"docker.io/{name}", [(tag, "")], is_shared=False)


SENDER = Sender(
    name="dockerhub",
    title=TITLE,
    read=read,
    takes_access_token=True,
    message_id=messages.body_id,
)
