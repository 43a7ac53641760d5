"""GitHub's payloads. On the route ``update`` the service has the repository's name; pure.

A release event says what became of one release, a package event that an image was pushed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import updates.operations
from webhooks.inbound.senders import messages
from webhooks.inbound.senders.messages import Message, Sender

TITLE = "GitHub"
EVENT_HEADER = "x-github-event"
TARGET_HEADER = "x-github-hook-installation-target-type"
PUSHES = frozenset({"push", "create"})
PACKAGES = frozenset({"package", "registry_package"})
RECORDED_BY = frozenset({"published", "released", "prereleased", "edited", "created"})
WITHDRAWN_BY = frozenset({"deleted", "unpublished"})


def is_native(headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    return EVENT_HEADER in headers and "service_name" not in document


def repository_name(document: Mapping[str, Any]) -> Any:
    """Return the name that the service has; None where there is none, as in an organisation's ping."""
    repository = document.get("repository")
    return repository.get("name") if isinstance(repository, dict) else None


def read(headers: Mapping[str, str], document: Mapping[str, Any]) -> Message:
    event, action = headers[EVENT_HEADER], document.get("action")
    if event == "ping":
        return messages.ping(TITLE)
    if repository_name(document) is None:
        return Message(ignored=f"GitHub's event '{event[:64]}' names no repository.")
    reader = {"release": _release, "package": _package, "registry_package": _package}.get(event)
    notice = reader(document, action) if reader is not None else None
    if notice is None:
        named = (
            f"'{event[:64]}' with the action '{str(action)[:64]}'" if action else f"'{event[:64]}'"
        )
        return Message(ignored=f"Nothing follows from GitHub's event {named}.")
    return Message(
        notice=(notice,), kind=notice.kind, place=notice.place, is_shared=is_shared(headers)
    )


def is_shared(headers: Mapping[str, str]) -> bool:
    """Whether the webhook is an organisation's or an app's, which sends for many repositories."""
    return headers.get(TARGET_HEADER, "repository") != "repository"


def read_any(headers: Mapping[str, str], document: Mapping[str, Any]) -> Message:
    """Return what a webhook says that leads to the address of a service, so that a push counts too."""
    event = headers.get(EVENT_HEADER)
    if event is None:
        return messages.without_event(TITLE, "X-GitHub-Event")
    if event in PUSHES and repository_name(document) is not None:
        return Message(
            pushed=f"a push to {messages.shown(_full_name(document))}",
            kind="github",
            place=_full_name(document),
            is_shared=is_shared(headers),
        )
    message = read(headers, document)
    if (
        event in PACKAGES
        and not message.notice
        and document.get("action") in ("published", "updated")
    ):
        return Message(pushed="a package", is_shared=is_shared(headers))
    return message


def _full_name(document: Mapping[str, Any]) -> str:
    full_name = document["repository"].get("full_name")
    return full_name if isinstance(full_name, str) else ""


def _release(document: Mapping[str, Any], action: Any) -> updates.operations.ReleaseNotice | None:
    release = document.get("release")
    if not isinstance(release, dict) or action not in RECORDED_BY | WITHDRAWN_BY:
        return None
    return updates.operations.ReleaseNotice(
        kind="github",
        repository=_full_name(document),
        item=release,
        is_withdrawn=action in WITHDRAWN_BY,
    )


def _package(document: Mapping[str, Any], action: Any) -> updates.operations.ReleaseNotice | None:
    """Return the tag of an image that was pushed to GHCR; an untagged push is no release."""
    package = document.get("package") or document.get("registry_package")
    version = package.get("package_version") if isinstance(package, dict) else None
    metadata = version.get("container_metadata") if isinstance(version, dict) else None
    tag = metadata.get("tag") if isinstance(metadata, dict) else None
    if action not in ("published", "updated") or not isinstance(tag, dict) or not tag.get("name"):
        return None
    url = version.get("package_url") if isinstance(version, dict) else None
    location = str(url or "").removeprefix("https://").partition("@")[0].rpartition(":")[0]
    item = {"tag": tag["name"], "digest": tag.get("digest"), "location": location}
    return updates.operations.ReleaseNotice(
        kind="oci", repository=_full_name(document), item=item, is_withdrawn=False
    )


SENDER = Sender(
    name="github",
    title=TITLE,
    read=read_any,
    body=messages.json_or_form_body,
    message_id=messages.header_id("x-github-delivery"),
)
