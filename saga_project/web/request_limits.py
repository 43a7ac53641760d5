"""The bounds that hold before Django sees a request: size, pace, one spelling of each path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

import orjson

from saga_project.shared import api
from saga_project.web import cross_origin

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_TIMEOUT_SECONDS = 30.0
PAUSE_TIMEOUT_SECONDS = 10.0
SEND_TIMEOUT_SECONDS = 30.0
_SLASHLESS = ("/api/", "/livez", "/readyz", "/metrics")
MAX_DISCARDED_BYTES = 16 * api.MAX_BODY_BYTES


class Disconnected(Exception):
    """The client closed the connection before its request was complete."""


class TooSlow(Exception):
    """The body did not arrive in time."""


def normalised(scope: Scope) -> Scope:
    """Return the request with the one spelling that Django is to see.

    A trailing slash is dropped except in the admin, where addresses end in one. Of two header names that
    differ in ``_`` and ``-`` only, WSGI would make one, so that a caller could forge what a proxy sets:
    names with ``_`` are dropped.
    """
    path: str = scope["path"]
    if scope["raw_path"].endswith(b"/") and path.startswith(_SLASHLESS):
        path = path[:-1]
    return {
        **scope,
        "path": path,
        "query_string": quote(scope["query_string"], safe=b"!$&'()*+,/:;=?@%-._~[]").encode(
            "ascii"
        ),
        "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name],
    }


def has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def read_body(receive: Receive, *, timeout_seconds: float = BODY_TIMEOUT_SECONDS) -> bytes:
    """Return the body, cut one byte above what is allowed, so that Django refuses it in its own words.

    The rest of a large body is read and thrown away (within bounds): a client that is cut off in the
    middle of sending would not see the answer. Raises TooSlow and Disconnected.
    """
    body, discarded = bytearray(), 0
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                chunk, is_last = await _read_chunk(receive)
                room = api.MAX_BODY_BYTES + 1 - len(body)
                body += chunk[:room]
                discarded += max(0, len(chunk) - room)
                if is_last or discarded > MAX_DISCARDED_BYTES:
                    return bytes(body)
    except TimeoutError as exc:
        raise TooSlow from exc


async def _read_chunk(receive: Receive) -> tuple[bytes, bool]:
    async with asyncio.timeout(PAUSE_TIMEOUT_SECONDS):
        message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message.get("body", b""), not message.get("more_body", False)


def with_body(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    """Return the request with ``body`` read already: its length is known, also where it came in chunks."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"content-length", b"transfer-encoding")
    ]
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return {**scope, "headers": headers}, replay


def impatient(send: Send, *, timeout_seconds: float = SEND_TIMEOUT_SECONDS) -> Send:
    """Return a ``send`` that gives up on a client that takes nothing: what is still to come is dropped.

    The thread that produces the answer must end even if the client stops reading.
    """
    is_given_up = False

    async def patiently(message: Message) -> None:
        nonlocal is_given_up
        if is_given_up:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await send(message)
        except TimeoutError:
            is_given_up = True

    return patiently


def header(scope: Scope, wanted: bytes) -> str | None:
    return next(
        (value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None
    )


async def answer_error(
    scope: Scope,
    send: Send,
    *,
    status: int,
    error: str,
    message: str,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Answer for Django, in the dialect of the path, where Django was not asked."""
    request_id = api.choose_request_id(header(scope, b"x-request-id"))
    content = orjson.dumps(api.error_body(scope["path"], status, error, message, request_id))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(content)).encode("ascii")),
                (b"x-request-id", request_id.encode("ascii")),
                *cross_origin.fields(scope["path"], header(scope, b"origin")),
                *(headers or []),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def answer_too_slow(scope: Scope, send: Send) -> None:
    await answer_error(
        scope,
        send,
        status=408,
        error="Request timeout",
        message="The request's body did not arrive in time.",
        headers=[(b"connection", b"close")],
    )
