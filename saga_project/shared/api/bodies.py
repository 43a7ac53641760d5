"""JSON in, strictly, and JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, cast

from rest_framework import negotiation, parsers, renderers
from rest_framework.request import Request

from saga_project.shared import errors, strict_json

MAX_BODY_BYTES = 1024 * 1024


class BodyTooLarge(errors.InvalidRequest):
    error = "Request body too large"
    status = 413


class NotJson(errors.InvalidRequest):
    error = "Unsupported media type"
    status = 415


class InvalidJson(errors.InvalidRequest):
    error = "Invalid JSON"


def read_json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``; an empty body is an empty object."""
    _check_size(raw)
    document = _read_json(raw) if raw.strip() else {}
    if not isinstance(document, dict):
        raise InvalidJson("The request body must be a JSON object.")
    return document


def read_json_objects(raw: bytes) -> list[dict[str, Any]]:
    """Return the objects of the JSON array in ``raw``."""
    _check_size(raw)
    document = _read_json(raw)
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise InvalidJson("The request body must be a JSON array of objects.")
    return document


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A request body has at most {MAX_BODY_BYTES} bytes.")


def _read_json(raw: bytes) -> Any:
    try:
        return strict_json.loads(raw)
    except strict_json.Refused as exc:
        raise InvalidJson(str(exc)) from exc


def body_of(request: Request) -> dict[str, Any]:
    """Return the parsed body: always an object, since the parser takes nothing else."""
    return cast("dict[str, Any]", request.data)


class StrictJSONParser(parsers.BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return read_json_object(stream.read(MAX_BODY_BYTES + 1))


class JSONRenderer(renderers.BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else strict_json.dumps(data)


class AlwaysJson(negotiation.DefaultContentNegotiation):
    """Every answer is JSON: an ``Accept`` that asks for something else is no reason to refuse."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type
