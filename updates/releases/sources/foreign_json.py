"""JSON as other systems write it, read for the few fields that matter here.

One strange character in a field that nothing reads must not cost the source. A byte order mark, bytes that
are no UTF-8, NaN, a repeated key and a number of any length are accepted. ``strict_json.clean`` makes text
storable.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DIGITS = 300


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
