"""GitHub's own payloads, read as what the update route takes; pure.

A repository's webhook knows nothing of our fields: the service has the repository's name. A release event
says what became of one release, a package event that an image was pushed; everything else is ignored.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import updates.operations

EVENT_HEADER = "x-github-event"
FORM = "application/x-www-form-urlencoded"
RECORDED_BY = frozenset({"published", "released", "prereleased", "edited", "created"})
WITHDRAWN_BY = frozenset({"deleted", "unpublished"})


class NotGitHubsForm(ValueError):
    """A form without GitHub's field; its text names the setting."""


def is_native(headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    return EVENT_HEADER in headers and "service_name" not in document


def payload_of_form(raw: bytes) -> bytes:
    """Return the JSON in a form, GitHub's default content type; raises NotGitHubsForm."""
    try:
        fields = urllib.parse.parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=16)
        (payload,) = fields["payload"]
    except (ValueError, KeyError):
        raise NotGitHubsForm(
            "The form has no field 'payload'. Set the content type of the GitHub webhook to"
            " application/json."
        ) from None
    return payload.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Message:
    """What became of one release, or the reason why nothing follows."""

    news: updates.operations.News | None = None
    ignored: str = ""


def repository_name(document: Mapping[str, Any]) -> Any:
    """Return the name that the service has; None where there is none, as in an organisation's ping."""
    repository = document.get("repository")
    return repository.get("name") if isinstance(repository, dict) else None


def read(headers: Mapping[str, str], document: Mapping[str, Any]) -> Message:
    event, action = headers[EVENT_HEADER], document.get("action")
    if event == "ping":
        return Message(ignored="GitHub's ping arrived.")
    if repository_name(document) is None:
        return Message(ignored=f"GitHub's event '{event[:64]}' names no repository.")
    reader = {"release": _release, "package": _package, "registry_package": _package}.get(event)
    news = reader(document, action) if reader is not None else None
    if news is None:
        named = (
            f"'{event[:64]}' with the action '{str(action)[:64]}'" if action else f"'{event[:64]}'"
        )
        return Message(ignored=f"Nothing follows from GitHub's event {named}.")
    return Message(news=news)


def _full_name(document: Mapping[str, Any]) -> str:
    full_name = document["repository"].get("full_name")
    return full_name if isinstance(full_name, str) else ""


def _release(document: Mapping[str, Any], action: Any) -> updates.operations.News | None:
    release = document.get("release")
    if not isinstance(release, dict) or action not in RECORDED_BY | WITHDRAWN_BY:
        return None
    return updates.operations.News(
        kind="github",
        repository=_full_name(document),
        item=release,
        is_withdrawn=action in WITHDRAWN_BY,
    )


def _package(document: Mapping[str, Any], action: Any) -> updates.operations.News | None:
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
    return updates.operations.News(
        kind="oci", repository=_full_name(document), item=item, is_withdrawn=False
    )
