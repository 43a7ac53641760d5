"""Harbor's payloads, in its own format and as CloudEvents. The auth header is the secret; pure."""

from __future__ import annotations

from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "Harbor"
PUSHES = frozenset({"PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"})


def read(_: Headers, document: Document) -> Message:
    event = document.get("type")
    if event not in PUSHES:
        return messages.unknown(TITLE, event)
    key = "data" if "specversion" in document else "event_data"
    return pushed(document.get(key))


def pushed(data: object) -> Message:
    """Read what Harbor says of a push; a project's webhook sends for all of its repositories."""
    resources = messages.items(messages.at(data, "resources"))
    tags = [(messages.text(one.get("tag")), messages.text(one.get("digest"))) for one in resources]
    location = next((_repository(one) for one in resources), "")
    return messages.image(TITLE, location, tags, is_shared=True)


def _repository(resource: Document) -> str:
    """Return the resource's URL, such as ``harbor.example/library/app:1.0``, without tag and digest."""
    bare = messages.text(resource.get("resource_url")).partition("@")[0]
    path, colon, tag = bare.rpartition(":")
    return path if colon and "/" not in tag else bare


def _id(headers: Headers, document: Document) -> str:
    if "specversion" in document:
        return messages.text(document.get("id"))
    return messages.body_id(headers, document) if "occur_at" in document else ""


SENDER = Sender(
    name="harbor",
    title=TITLE,
    read=read,
    takes_authorization=True,
    message_id=_id,
)
