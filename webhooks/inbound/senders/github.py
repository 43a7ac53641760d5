"""GitHub's own payloads, read as what the update route takes; pure.

A repository's webhook knows nothing of our fields: the service has the repository's name. A release event
says what became of one release, a package event that an image was pushed; everything else is ignored.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

EVENT_HEADER = "x-github-event"
FORM = "application/x-www-form-urlencoded"
IGNORED = "ignored"
NEWS = "news"
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


def read(headers: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's name and what became of a release, or the reason why nothing follows."""
    event, action = headers[EVENT_HEADER], document.get("action")
    fields = _service(document)
    if event == "ping":
        return {**fields, IGNORED: "GitHub's ping arrived."}
    if not fields:
        return {IGNORED: f"GitHub's event '{event[:64]}' names no repository."}
    reader = {"release": _release, "package": _package, "registry_package": _package}.get(event)
    news = reader(document, action) if reader is not None else None
    if news is None:
        named = (
            f"'{event[:64]}' with the action '{str(action)[:64]}'" if action else f"'{event[:64]}'"
        )
        return {**fields, IGNORED: f"Nothing follows from GitHub's event {named}."}
    return {**fields, NEWS: {"repository": _full_name(document), **news}}


def is_without_service(headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    """Whether a native payload names no repository, as the ping of an organisation's hook."""
    return is_native(headers, document) and not _service(document)


def _service(document: Mapping[str, Any]) -> dict[str, Any]:
    repository = document.get("repository")
    name = repository.get("name") if isinstance(repository, dict) else None
    return {} if name is None else {"service_name": name}


def _full_name(document: Mapping[str, Any]) -> str:
    full_name = document["repository"].get("full_name")
    return full_name if isinstance(full_name, str) else ""


def _release(document: Mapping[str, Any], action: Any) -> dict[str, Any] | None:
    release = document.get("release")
    if not isinstance(release, dict) or action not in RECORDED_BY | WITHDRAWN_BY:
        return None
    return {"kind": "github", "item": release, "is_withdrawn": action in WITHDRAWN_BY}


def _package(document: Mapping[str, Any], action: Any) -> dict[str, Any] | None:
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
    return {"kind": "oci", "item": item, "is_withdrawn": False}
