"""Parsed header lines of requests, cached: a client sends the same lines repeatedly.

So they are remembered by their bytes, those with a token by a digest of their bytes; and each connection
remembers what the last ones on it said.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

MAX_BYTES = 2048
MAX_FIELDS = 50
MAX_REMEMBERED = 2000

# Headers that change no answer here; whatever is not known makes a request unusual.
#: A request that is anonymous and has one of these is Django's to answer.
_FORWARDING = frozenset(
    {
        *(b"via", b"forwarded", b"x-real-ip", b"x-forwarded-for", b"x-forwarded-proto"),
        *(b"x-forwarded-port", b"x-forwarded-host", b"x-forwarded-server"),
    }
)
_IDLE = frozenset(
    {
        *(b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"cache-control"),
        *(b"pragma", b"dnt", b"priority", b"traceparent", b"tracestate"),
        *(b"sec-fetch-dest", b"sec-fetch-mode"),
        *_FORWARDING,
    }
)
_READ = frozenset(
    {
        *(b"host", b"authorization", b"x-request-id", b"connection"),
        *(b"content-type", b"content-length", b"sec-fetch-site", b"if-none-match"),
    }
)
_OWN_SITE = frozenset({b"none", b"same-origin"})
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_VALUE = re.compile(rb"[ -~]*")
_LENGTH = re.compile(rb"[0-9]{1,7}")
_ONE_TAG = re.compile(rb'(?:W/)?("[!#-~]*")')
_BEARER = re.compile(rb"Bearer ([A-Za-z0-9._~+/-]+=*)")


@dataclass(frozen=True, slots=True)
class Head:
    """The header lines of a usual request; ``token_digest`` is the hex SHA-256 of its bearer token.

    ``is_direct``: no proxy forwarded it, and no page of another site sent it.

    ``known_tag`` is the weak entity tag that the caller has (``If-None-Match``).

    ``kept`` holds what the request reader found out about these lines.
    """

    host: bytes
    token_digest: str | None
    request_id: str | None
    length: int
    is_json: bool
    is_direct: bool = True
    known_tag: bytes | None = None
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


_remembered: dict[bytes, Head] = {}


class Reader:
    """Reads the header lines of one connection, where the next are nearly always those of before.

    Lines are keyed by Python's own hash: keyed SipHash of 64 bits, which no client
    can aim at, nor get a token out of.
    """

    __slots__ = ("_head", "_number")

    def __init__(self) -> None:
        self._number: int | None = None
        self._head: Head | None = None

    def read(self, lines: bytes) -> Head | None:
        """Return what ``read`` does."""
        number = hash(lines)
        if number != self._number:
            self._number, self._head = number, read(lines)
        return self._head


def read(lines: bytes) -> Head | None:
    """Return what the lines between request line and empty line say, None where that is not usual."""
    return _remembered.get(lines) or _remembered.get(_digest(lines)) or _learn(lines)


def _digest(lines: bytes) -> bytes:
    return hashlib.sha256(lines).digest()


def _learn(lines: bytes) -> Head | None:
    head = _evaluate(lines) if len(lines) <= MAX_BYTES else None
    if head is not None and head.request_id is None and head.known_tag is None:  # they differ
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[lines if head.token_digest is None else _digest(lines)] = head
    return head


def _evaluate(lines: bytes) -> Head | None:
    found: dict[bytes, bytes] = {}
    is_forwarded = False
    fields = lines.split(b"\r\n")
    if len(fields) > MAX_FIELDS:
        return None
    for line in fields:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or name in found or _VALUE.fullmatch(value) is None:
            return None
        if name in _READ:
            found[name] = value.strip(b" ")
        elif name in _IDLE:
            is_forwarded = is_forwarded or name in _FORWARDING
        else:
            return None
    return _head_of(found, is_forwarded=is_forwarded)


def _head_of(found: dict[bytes, bytes], *, is_forwarded: bool) -> Head | None:
    length = found.get(b"content-length", b"0")
    if b"host" not in found or _LENGTH.fullmatch(length) is None:
        return None
    if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    content_type = found.get(b"content-type")
    if content_type is not None and content_type not in _JSON_TYPES:
        return None
    known_tag = _ONE_TAG.fullmatch(found.get(b"if-none-match", b'""'))
    if known_tag is None:
        return None
    token_digest = None
    if b"authorization" in found:
        bearer = _BEARER.fullmatch(found[b"authorization"])
        if bearer is None:
            return None
        token_digest = hashlib.sha256(bearer[1]).hexdigest()
    offered = found.get(b"x-request-id")
    return Head(
        host=found[b"host"],
        token_digest=token_digest,
        request_id=offered.decode("ascii") if offered is not None else None,
        length=int(length),
        is_json=content_type is not None,
        known_tag=b"W/" + known_tag[1] if b"if-none-match" in found else None,
        is_direct=not is_forwarded and found.get(b"sec-fetch-site", b"none") in _OWN_SITE,
    )
