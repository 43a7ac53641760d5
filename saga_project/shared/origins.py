"""Where the request under way came from, for the audit trail."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the request under way came from; empty outside a request."""

    request_id: str = ""
    address: str = ""
    token_prefix: str = ""


_origin: contextvars.ContextVar[Origin] = contextvars.ContextVar("origin", default=Origin())  # noqa: B039


def current() -> Origin:
    return _origin.get()


@contextmanager
def noted(origin: Origin) -> Iterator[None]:
    """Note where the request under way came from, until the block ends."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def note_token(prefix: str) -> None:
    """Record the account of the current request's token, for the audit trail."""
    _origin.set(dataclasses.replace(_origin.get(), token_prefix=prefix))
