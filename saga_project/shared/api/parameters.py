"""Query parameters, typed and bounded; times as the API reads and prints them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

from django.db.models import Func, TextField
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from saga_project.shared import errors, strict_json

MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1


class InvalidLimit(errors.InvalidRequest):
    error = "Invalid limit"


class InvalidParameter(errors.InvalidRequest):
    error = "Invalid parameter"


def read_integer(
    request: Request,
    name: str,
    *,
    default: int | None,
    minimum: int,
    maximum: int,
    error: type[errors.InvalidRequest] = InvalidParameter,
) -> int | None:
    """Return the query parameter as a whole number within its bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is None or not (
        minimum <= int(text) <= maximum
    ):
        raise error(f"'{name}' must be a whole number from {minimum} to {maximum}.", field=name)
    return int(text)


def read_limit(request: Request, *, default: int | None = 100) -> int | None:
    return read_integer(
        request, "limit", default=default, minimum=1, maximum=MAX_LIMIT, error=InvalidLimit
    )


class InvalidOffset(errors.InvalidRequest):
    error = "Invalid offset"


def read_offset(request: Request) -> int:
    offset = read_integer(
        request, "offset", default=0, minimum=0, maximum=MAX_OFFSET, error=InvalidOffset
    )
    return offset or 0


def read_text(request: Request, name: str, *, maximum_length: int = 256) -> str | None:
    """Return the query parameter, bounded and free of control characters; empty counts as absent."""
    text = request.query_params.get(name)
    if not text:
        return None
    if len(text) > maximum_length or "\x00" in text or not strict_json.is_clean(text):
        raise InvalidParameter(f"'{name}' has characters or a length that are refused.", field=name)
    return text


def read_choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    """Return the query parameter where it is one of the choices; an empty one is none of them."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise InvalidParameter(f"'{name}' is one of {', '.join(choices)}.", field=name)
    return text


def parse_time(text: str) -> dt.datetime | None:
    """Return an RFC 3339 date-time in UTC, or None where ``text`` is none. Without an offset it is UTC."""
    try:
        moment = parse_datetime(text)
        if moment is None:
            return None
        if moment.tzinfo is None:
            return moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def read_time(request: Request, name: str) -> dt.datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    # A '+' that a caller forgot to encode arrives as a space.
    moment = parse_time(text.replace(" ", "+")) or parse_time(text) if len(text) <= 64 else None
    if moment is None:
        raise InvalidParameter(f"'{name}' must be an RFC 3339 time.", field=name)
    return moment


def zulu(moment: dt.datetime | None) -> str | None:
    """Seconds with ``Z``, as history, config and cache print their times."""
    if moment is None:
        return None
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


class Zulu(Func):
    """The same text out of PostgreSQL: reading times, to print them, is most of what a thousand rows cost."""

    output_field = TextField()
    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
