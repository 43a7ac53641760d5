"""Exports as attachments that are streamed, a few at once in each process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import TypeVar

from django.http import StreamingHttpResponse

from updates import errors

MAX_EXPORTS = 3
Chunk = TypeVar("Chunk")


class _ExportSlots:
    """How many exports this process writes at once, so that slow readers leave threads to others."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def take(self) -> None:
        if not self._free.acquire(blocking=False):
            raise errors.TooManyExports(
                "Other exports are under way; try again in a moment.", retry_after_seconds=5
            )

    def give_back(self) -> None:
        self._free.release()


_seats = _ExportSlots(MAX_EXPORTS)


class _ExportBody:
    """The body of an export; its slot is free again once the response is closed, read or not."""

    def __init__(self, body: Iterator[bytes]) -> None:
        _seats.take()
        self._body = body
        self._is_seated = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._body)

    def close(self) -> None:
        if self._is_seated:
            self._is_seated = False
            _seats.give_back()


def begun(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Read the first rows now: that the database is gone can be said only before the answer begins."""
    first = list(itertools.islice(chunks, 1))
    return itertools.chain(first, chunks)


def respond(body: Iterator[bytes], *, filename: str, content_type: str) -> StreamingHttpResponse:
    """Return the answer that streams ``body``. Raises TooManyExports."""
    disposition = f'attachment; filename="{filename}"'
    return StreamingHttpResponse(
        _ExportBody(body), content_type=content_type, headers={"Content-Disposition": disposition}
    )
