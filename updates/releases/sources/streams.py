"""JSON documents that are too long to be held: read while they arrive, and kept only where they are wanted.

ijson reads the tokens. Its paths are not used: each is as long as the document is deep, so that brackets
alone would fill the memory. Its fastest reader also ends the process at a number of more digits than Python
converts, and refuses what ``foreign_json`` accepts; so the text is made strict before.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import ijson
from django.conf import settings

from saga_project.shared import errors, http_client
from updates.errors import SourceUnavailable
from updates.releases.sources import exchange
from updates.releases.sources.exchange import Document

ANY: Final = "*"
SCALAR: Final = True
#: A tree of the keys to keep; ANY stands for all others, and SCALAR for a text, a number or a word.
Wanted = Mapping[str, "Wanted"] | bool
MAX_TEXT = 4096
MAX_DIGITS = 300
#: What is held back of each chunk, since the next one may go on with a number or a word.
_HELD_BYTES = 2 * MAX_DIGITS
_SPACES = bytes(range(0x20)), b" " * 0x20
_LONG_NUMBER = re.compile(b"([0-9]{%d})[0-9]+" % MAX_DIGITS)
#: Where a number has as many digits as are held back, six in a row are found in every hundredth byte.
_LONG_NUMBER_SAMPLED = re.compile(b"[0-9]{6}")
_NO_NUMBER = re.compile(rb"([:,\[]\s{0,32})(?:NaN|-?Infinity)(?=\s{0,32}[,\]}])")
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


def get(
    url: str,
    *,
    wanted: Wanted,
    accept: str = "application/json",
    authorization: str = "",
    validators: Mapping[str, str],
) -> Document:
    """Return what is wanted of the JSON at ``url``, which may be long; raises SourceUnavailable."""
    headers = {"Accept": accept} | exchange.conditions(validators)
    if authorization:
        headers["Authorization"] = authorization
    try:
        with http_client.stream(
            url,
            purpose="source",
            headers=headers,
            timeout_seconds=settings.SAGA_SOURCE_MAX_SECONDS,
            max_bytes=settings.SAGA_SOURCE_MAX_BYTES,
            follow_redirects=3,
        ) as answer:
            if answer.status == 304:
                return Document(None, dict(validators), answer.headers)
            if answer.status != 200:
                raise exchange.refusal(answer)
            content = read(answer.chunks, wanted=wanted)
            return Document(content, exchange.validators_in(answer.headers), answer.headers)
    except SourceUnavailable:
        raise
    except errors.SagaError as exc:
        raise SourceUnavailable(exc.message) from exc


def read(chunks: Iterable[bytes], *, wanted: Wanted) -> Any:
    """Return what is wanted of a document; raises SourceUnavailable where it is no JSON."""
    tokens = ijson.sendable_list()
    parser = ijson.basic_parse_coro(tokens)
    document = _Document(wanted)
    try:
        for chunk in filter(None, _strict(chunks)):  # an empty one would be the end
            parser.send(chunk)
            document.add(tokens)
            tokens.clear()
        parser.close()
        document.add(tokens)
    except (ijson.JSONError, ValueError, ArithmeticError) as exc:
        raise SourceUnavailable("The source's answer is not the JSON that it should be.") from exc
    return document.root


def _strict(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Make strict JSON of what foreign writers send; in texts, some characters may become others."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    spaces = bytes.maketrans(*_SPACES)
    held = b""
    for chunk in chunks:
        text = held + decoder.decode(chunk.translate(spaces)).encode()
        if _LONG_NUMBER_SAMPLED.search(text[::100]):
            text = _LONG_NUMBER.sub(rb"\1", text)
        if b"NaN" in text or b"Infinity" in text:
            text = _NO_NUMBER.sub(rb"\1null", text)
        held = text[-_HELD_BYTES:]
        yield text[: len(text) - len(held)]
    yield held + decoder.decode(b"", final=True).encode()


class _Document:
    """Builds the wanted part of a document from its tokens."""

    def __init__(self, wanted: Wanted) -> None:
        self.root: Any = {}
        self._wanted = wanted
        self._open: list[tuple[dict[str, Any], Mapping[str, Wanted]]] = []
        self._key = ""
        #: How deep the reader is within something that is not wanted.
        self._depth_passed_over = 0

    def add(self, tokens: Iterable[tuple[str, Any]]) -> None:
        for name, value in tokens:
            if self._depth_passed_over:
                self._depth_passed_over += _DEPTH.get(name, 0)
            elif name == "map_key":
                self._key = value
            elif name == "end_map":
                self._open.pop()
            else:
                self._take(name, value)

    def _take(self, name: str, value: Any) -> None:
        wanted = self._wanted_here()
        if name == "start_map" and isinstance(wanted, Mapping):
            child: dict[str, Any] = {}
            self._put(child)
            self._open.append((child, wanted))
        elif name in _DEPTH:
            self._depth_passed_over = 1
        elif wanted is True:
            self._put(value[:MAX_TEXT] if isinstance(value, str) else value)

    def _wanted_here(self) -> Wanted:
        if not self._open:
            return self._wanted
        keys = self._open[-1][1]
        return keys[self._key] if self._key in keys else keys.get(ANY, False)

    def _put(self, value: Any) -> None:
        if self._open:
            self._open[-1][0][self._key] = value
        else:
            self.root = value
