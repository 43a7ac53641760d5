"""Recognises the bytes of one whole request that the fast path may answer.

No HTTP parser: ``registry.fast`` answers only requests whose every byte is understood here, and the server's
own parser (httptools) reads all others.
"""

from __future__ import annotations

import asyncio

from saga_project.shared import request_heads
from saga_project.shared.request_heads import Head

MAX_BODY_BYTES = 256 * 1024
#: What a request's first line may be, up to its version.
LIST_ALL = b"GET /api/v1/services"
LOOK_UP = b"GET /api/v1/services/"
REGISTER = b"POST /api/v1/services/register"
HEARTBEAT_MANY = b"POST /api/v1/services/heartbeat"
HEARTBEAT, HEARTBEAT_END = b"POST /api/v1/services/", b"/heartbeat"
_LINE_END, _HEAD_END = b" HTTP/1.1\r\n", b"\r\n\r\n"


class WholeRequest:
    """A request that the fast path may answer; ``raw`` holds all its bytes for the ordinary way.

    While Redis is asked, it stands where the server keeps the request that is being answered.
    """

    message_event = asyncio.Event()  # required by the protocol, unused here
    response_started = False
    response_complete = False
    disconnected = False
    keep_alive = True

    def __init__(self, raw: bytes, line: bytes, head: Head, body: bytes) -> None:
        self.raw = raw
        self.line = line
        self.head = head
        self.body = body


class Incomplete(Exception):
    """The rest of the body is still to come."""


def read(raw: bytes, reader: request_heads.Reader) -> WholeRequest | None:
    """Return the one whole request that ``raw`` is, None where it may not be ours; raises Incomplete."""
    line, _, rest = raw.partition(_LINE_END)
    is_read = line.startswith(LIST_ALL)
    if not is_read and line != REGISTER and not line.endswith(HEARTBEAT_END):
        return None
    lines, end, body = rest.partition(_HEAD_END)
    head = reader.read(lines) if end else None
    if head is None or len(body) > head.length:
        return None
    if head.length:
        if is_read or not head.is_json or head.length > MAX_BODY_BYTES:
            return None
        if len(body) < head.length:
            raise Incomplete
    return WholeRequest(raw, line, head, body)
