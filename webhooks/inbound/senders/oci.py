"""Notifications of an OCI registry (CNCF Distribution): an envelope of events; pure.

https://distribution.github.io/distribution/about/notifications/
"""

from __future__ import annotations

import urllib.parse

from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "The registry"


def read(_: Headers, document: Document) -> Message:
    events = messages.items(document.get("events"))
    if not events:
        return Message(ignored="A registry sends 'events'; here are none.")
    pushes = [event for event in events if event.get("action") == "push" and _tag(event)]
    if not pushes:
        return messages.unknown(TITLE, events[0].get("action"))
    read_pushes = [pushed(event) for event in pushes]
    notice = tuple(item for message in read_pushes for item in message.notice)
    only = read_pushes[0]
    return Message(notice=notice, pushed=only.pushed, kind="oci", place=only.place, is_shared=True)


def pushed(event: Document) -> Message:
    """Read one push of a manifest under a tag; one registry sends for all of its repositories."""
    target = event.get("target")
    host = urllib.parse.urlsplit(messages.text(messages.at(target, "url"))).netloc
    host = host or messages.text(messages.at(event, "request", "host"))
    repository = messages.text(messages.at(target, "repository"))
    location = f"{host}/{repository}" if host else repository
    checksum = messages.text(messages.at(target, "digest"))
    return messages.image(TITLE, location, [(_tag(event), checksum)], is_shared=True)


def _tag(event: Document) -> str:
    return messages.text(messages.at(event, "target", "tag"))


def _id(_: Headers, document: Document) -> str:
    ids = [messages.text(event.get("id")) for event in messages.items(document.get("events"))]
    return messages.digest("\n".join(ids)) if all(ids) and ids else ""


SENDER = Sender(name="oci", title=TITLE, read=read, takes_authorization=True, message_id=_id)
