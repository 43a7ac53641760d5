"""JSON as the contract takes it: no duplicate keys, NaN, lone surrogates, NUL, or bottomless nesting."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

MAX_DEPTH = 64
MAX_DIGITS = 64
_UNCLEAN = re.compile("[\x00\ud800-\udfff]")


class Refused(ValueError):
    """The text is no JSON that we take; the message says why."""


def is_clean(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold ``text``: no NUL, no lone surrogate."""
    return _UNCLEAN.search(text) is None


def clean(text: str) -> str:
    """Return the text with U+FFFD for what PostgreSQL and UTF-8 cannot hold."""
    return _UNCLEAN.sub("\ufffd", text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Refused("The JSON has an object with the same key twice.")
    return document


def _constant(text: str) -> NoReturn:
    raise Refused(f"{text} is not JSON.")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Refused("The JSON has a number with too many digits.")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise Refused("The JSON has a number that is too large.")
    return number


_decoder = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_float,
)


def loads(raw: bytes) -> Any:
    """Return the document in ``raw``, UTF-8; raises Refused with a sentence for its sender."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("The request body is not UTF-8.") from None
    try:
        document = _decoder.decode(text)
    except Refused:
        raise
    except RecursionError:
        raise Refused("The JSON is nested too deeply.") from None
    except ValueError as exc:
        raise Refused(f"The request body is not JSON: {exc}.") from None
    _check(document)
    return document


def _check(document: Any) -> None:
    """Walk without recursion, so that depth costs nothing before it is refused."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise Refused("The JSON is nested too deeply.")
        following: list[Any] = []
        for value in level:
            if isinstance(value, str) and not is_clean(value):
                raise Refused("The JSON has a NUL character or a lone surrogate.")
            if isinstance(value, dict):
                following.extend(value)
                following.extend(value.values())
            elif isinstance(value, list):
                following.extend(value)
        level = following


def dumps(document: Any, *, has_sorted_keys: bool = False) -> bytes:
    """Return the document as compact JSON.

    orjson alone refuses whole numbers beyond 64 bits, which ``loads`` takes.
    """
    try:
        option = orjson.OPT_SORT_KEYS if has_sorted_keys else None
        return orjson.dumps(document, default=str, option=option)
    except TypeError:
        return json.dumps(
            document,
            default=str,
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=has_sorted_keys,
        ).encode()
