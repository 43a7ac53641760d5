"""Entity tags: a change that names a stale one is refused, a read that names the current one is 304."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from rest_framework.request import Request

from saga_project.shared import errors


class PreconditionFailed(errors.Conflict):
    """Another change came first."""

    error = "Precondition failed"
    status = 412


def etag_of(document: Any) -> str:
    """Return the strong entity tag of a JSON document."""
    text = orjson.dumps(document, default=str, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def check_match(request: Request, document: Any) -> None:
    """Raise PreconditionFailed where ``If-Match`` names other states than ``document``."""
    header = request.headers.get("If-Match")
    if header is not None and not _names(header, etag_of(document)):
        raise PreconditionFailed(
            "This was changed since you read it (If-Match names another ETag). Read it again, then change it."
        )


def is_known(request: Request, etag: str) -> bool:
    """Return whether ``If-None-Match`` says that the caller has this state."""
    return _names(request.headers.get("If-None-Match", ""), etag)


def _names(header: str, etag: str) -> bool:
    # A proxy that compresses an answer turns its tag into a weak one.
    named = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in named or etag in named
