"""JSON as other systems write it, read for the few fields that matter here.

One strange character in a field that nothing reads must not cost the source. A byte order mark, bytes that
are no UTF-8, NaN, a repeated key and a number of any length are accepted; ``clean`` makes text storable.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DIGITS = 300
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unreadable(ValueError):
    """The text is no JSON at all."""


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= MAX_DIGITS else math.inf


def loads(raw: bytes) -> Any:
    """Return the document; raises Unreadable."""
    decoder = json.JSONDecoder(parse_int=_integer, strict=False)
    try:
        return decoder.decode(raw.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        raise Unreadable from None


def clean(text: str) -> str:
    """Return the text without NUL characters and halves of surrogate pairs, which PostgreSQL cannot hold."""
    return _UNSTORABLE.sub("\ufffd", text)


def is_clean(text: str) -> bool:
    return _UNSTORABLE.search(text) is None
