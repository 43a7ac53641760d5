"""GitLab's payloads: releases, tags, pushes, and the pipelines of tags; pure.

A webhook carries its secret token in ``X-Gitlab-Token``, or, with a signing token, the headers of Standard
Webhooks.
"""

from __future__ import annotations

from typing import Any

import updates.operations
from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Document, Headers, Message, Sender

TITLE = "GitLab"
RECORDED_BY = frozenset({"create", "update"})
PUSHES = frozenset({"push", "tag_push"})


def read(headers: Headers, document: Document) -> Message:
    event = document.get("object_kind") or document.get("event_name")
    place = messages.text(messages.at(document, "project", "path_with_namespace"))
    if event == "release":
        return _release(document, place)
    if event == "pipeline":
        return _pipeline(document, place)
    if event in PUSHES:
        return Message(pushed=f"a push to {messages.shown(place)}", kind="gitlab", place=place)
    return messages.unknown(TITLE, event or headers.get("x-gitlab-event", ""))


def _release(document: Document, place: str) -> Message:
    action = document.get("action")
    if action not in RECORDED_BY | {"delete"}:
        return messages.unknown(TITLE, f"release {action}")
    notice = updates.operations.ReleaseNotice(
        kind="gitlab", repository=place, item=_as_listed(document), is_withdrawn=action == "delete"
    )
    return Message(notice=(notice,), kind="gitlab", place=place)


def _as_listed(document: Document) -> dict[str, Any]:
    """Return the release as GitLab's API lists it."""
    return {
        "tag_name": document.get("tag"),
        "description": document.get("description"),
        "released_at": _moment(document.get("released_at")),
        "assets": document.get("assets"),
    }


def _moment(said: Any) -> str:
    """Return GitLab's ``2020-11-02 12:55:12 UTC`` in RFC 3339."""
    return messages.text(said).replace(" UTC", "Z").replace(" ", "T", 1)


def _pipeline(document: Document, place: str) -> Message:
    attributes = document.get("object_attributes")
    if messages.at(attributes, "tag") is not True or messages.at(attributes, "status") != "success":
        return Message(ignored="Of GitLab's pipelines only those of tags count that succeeded.")
    return Message(
        pushed=f"a tag's pipeline in {messages.shown(place)}", kind="gitlab", place=place
    )


SENDER = Sender(
    name="gitlab",
    title=TITLE,
    read=read,
    secret_header="x-gitlab-token",  # noqa: S106 - a header's name
    message_id=messages.header_id("idempotency-key", "x-gitlab-event-uuid"),
)
