"""What a foreign payload says, and what is known of each sender; pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import updates.operations
from saga_project.shared import api
from webhooks.inbound.senders import forms

Headers = Mapping[str, str]
Document = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """What was released or pushed, or the reason why nothing follows."""

    notice: tuple[updates.operations.ReleaseNotice, ...] = ()
    #: A release in the words of the route ``update``.
    release: dict[str, Any] | None = None
    #: What was pushed; the service's source is asked for it.
    pushed: str = ""
    #: The kind of source that reads what was pushed, and the repository there.
    kind: str = ""
    place: str = ""
    #: The sender has one webhook for many repositories, so that its address names no single one.
    is_shared: bool = False
    ignored: str = ""
    #: The messages of a batch, which count one by one.
    parts: tuple[Message, ...] = ()


def header_id(*names: str) -> Callable[[Headers, Document], str]:
    """Return a function that takes the message's id from the first of these headers."""

    def read(headers: Headers, _: Document) -> str:
        return next((headers[name] for name in names if headers.get(name)), "")

    return read


def body_id(_: Headers, document: Document) -> str:
    """Return an id for payloads that hold the time of their event, but no id."""
    return digest(json.dumps(document, sort_keys=True))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def no_id(_headers: Headers, _document: Document) -> str:
    """Return no id: a payload without id and time cannot be distinguished from the next one."""
    return ""


def json_body(raw: bytes, content_type: str, headers: Headers) -> dict[str, Any]:
    """Return the JSON object in a body; raises NotJson and InvalidJson."""
    del headers
    if content_type not in ("", "application/json") and not content_type.endswith("+json"):
        raise api.NotJson("The body must be JSON: send 'Content-Type: application/json'.")
    return api.read_json_object(raw)


def json_or_form_body(raw: bytes, content_type: str, headers: Headers) -> dict[str, Any]:
    """Return the JSON object in a body, or in the field ``payload`` of a form."""
    return json_body(*_unwrapped(raw, content_type), headers)


def form_payload(raw: bytes, content_type: str) -> bytes:
    """Return what a sender signs that signs the JSON in its form."""
    return _unwrapped(raw, content_type)[0]


def _unwrapped(raw: bytes, content_type: str) -> tuple[bytes, str]:
    if content_type != forms.MEDIA_TYPE:
        return raw, content_type
    return forms.payload(raw), ""


def whole_body(raw: bytes, content_type: str) -> bytes:
    del content_type
    return raw


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sender:
    """A foreign service that calls ``/api/v1/webhooks/from/<name>/<service>``.

    Beside what is named here, each sender may use the signatures that Saga's own routes accept.
    """

    name: str
    title: str
    read: Callable[[Headers, Document], Message]
    body: Callable[[bytes, str, Headers], dict[str, Any]] = json_body
    #: What the signature is over.
    signed: Callable[[bytes, str], bytes] = whole_body
    #: Headers with the HMAC-SHA256 of the body in hex; the first that is present counts.
    signature_headers: tuple[str, ...] = ()
    #: The header that holds the secret itself.
    secret_header: str = ""
    #: The secret may stand in ``Authorization``.
    takes_authorization: bool = False
    #: The secret may stand in the query, since the address is all that can be set.
    takes_access_token: bool = False
    message_id: Callable[[Headers, Document], str] = no_id
    has_handshake: bool = False


# --- Reading --------------------------------------------------------------------------------------


def at(document: Any, *keys: str) -> Any:
    """Return the value at a path of keys, None where it is not there."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def items(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list; anything else has none."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def shown(value: Any) -> str:
    """Return a foreign word as it may stand in an answer."""
    return "".join(letter for letter in str(value)[:64] if letter.isprintable())


def unknown(title: str, event: Any) -> Message:
    return Message(ignored=f"Nothing follows from {title}'s event '{shown(event)}'.")


def without_event(title: str, header: str) -> Message:
    return Message(ignored=f"The call has no header {header}, which names {title}'s event.")


def ping(title: str) -> Message:
    return Message(ignored=f"{title}'s ping arrived.")


def image(title: str, location: str, tags: list[tuple[str, str]], *, is_shared: bool) -> Message:
    """Return the message about a push of an image; ``tags`` are names with digests, which may be empty."""
    notice = tuple(
        updates.operations.ReleaseNotice(
            kind="oci",
            repository=location,
            item={"location": location, "tag": tag, "digest": checksum},
        )
        for tag, checksum in tags
        if tag
    )
    if not location:
        return Message(ignored=f"{title}'s push names no image.")
    return Message(
        notice=notice,
        pushed=f"the image {shown(location)}",
        kind="oci",
        place=location,
        is_shared=is_shared,
    )
