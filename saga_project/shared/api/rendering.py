"""Errors in two dialects: the one place that gives a SagaError its status and its shape."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core import exceptions as django_exceptions
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from redis import exceptions as redis_exceptions
from rest_framework import exceptions as drf_exceptions
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.shared import errors
from saga_project.shared.api.bodies import NotJson
from saga_project.shared.api.requests import request_id_of
from saga_project.shared.database import faults

logger = logging.getLogger(__name__)

SCAICONTROL_PREFIX = "/api/v1/registry/"
STATUS_OF_KIND: tuple[tuple[type[errors.SagaError], int], ...] = (
    (errors.InvalidRequest, 400),
    (errors.NotAuthenticated, 401),
    (errors.NotAllowed, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Unavailable, 503),
)
SCAICONTROL_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


def is_scaicontrol(path: str) -> bool:
    return path.startswith(SCAICONTROL_PREFIX)


def status_of(exc: errors.SagaError) -> int:
    own: int | None = getattr(exc, "status", None)
    if own is not None:
        return own
    return next((code for kind, code in STATUS_OF_KIND if isinstance(exc, kind)), 500)


def translate(exc: Exception) -> errors.SagaError | None:
    """Return the SagaError that says the same as a library's error, if there is one."""
    if isinstance(exc, errors.SagaError):
        return exc
    if isinstance(exc, redis_exceptions.RedisError):
        return errors.RedisUnavailable("Redis is not available. Try again in a moment.")
    if isinstance(exc, DatabaseError) and faults.is_read_only(exc):
        return errors.DatabaseUnavailable("The database is read-only. Try again in a moment.")
    if isinstance(exc, OperationalError | InterfaceError):
        return errors.DatabaseUnavailable("The database is not available. Try again in a moment.")
    if isinstance(exc, drf_exceptions.UnsupportedMediaType):
        return NotJson("The request body must be application/json.")
    if isinstance(exc, drf_exceptions.ValidationError):
        return invalid_fields(exc)
    return None


class InvalidFields(errors.InvalidRequest):
    """Several fields are wrong; ``faults`` holds (field path, message, type) of each."""

    def __init__(self, message: str, faults: list[tuple[list[str | int], str, str]]) -> None:
        super().__init__(message, field=str(faults[0][0][0]) if faults and faults[0][0] else None)
        self.faults = faults


def invalid_fields(exc: drf_exceptions.ValidationError) -> InvalidFields:
    faults = list(_faults(exc.get_full_details(), []))
    path, text, _ = faults[0]
    where = ".".join(str(part) for part in path)
    return InvalidFields(f"{where}: {text}" if where else text, faults)


def _faults(detail: Any, path: list[str | int]) -> Any:
    if isinstance(detail, dict) and set(detail) == {"message", "code"}:
        yield path, str(detail["message"]), str(detail["code"])
    elif isinstance(detail, dict):
        for key, inner in detail.items():
            own = path if key == "non_field_errors" else [*path, key]
            yield from _faults(inner, own)
    else:
        many = len(detail) > 1 and all(
            isinstance(item, dict) and "code" not in item for item in detail
        )
        for position, inner in enumerate(detail):
            if inner:
                yield from _faults(inner, [*path, position] if many else path)


def error_body(path: str, code: int, error: str, message: str, request_id: str) -> dict[str, Any]:
    """Return an error in the dialect that ``path`` speaks."""
    if is_scaicontrol(path):
        name = SCAICONTROL_CODES.get(code, "internal_error" if code >= 500 else "bad_request")
        return {"error": {"code": name, "message": message, "request_id": request_id}}
    return {"error": error, "message": message}


# ScaiControl's clients know the words of the library that it is built with.
_FAULT_TYPES = {"required": "missing", "null": "missing"}


def validation_body(faults: list[tuple[list[str | int], str, str]]) -> dict[str, Any]:
    return {
        "detail": [
            {"loc": ["body", *path], "msg": text, "type": _FAULT_TYPES.get(kind, kind)}
            for path, text, kind in faults
        ]
    }


def render(exc: errors.SagaError, path: str, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of a SagaError, in the dialect of ``path``."""
    code = status_of(exc)
    if is_scaicontrol(path) and code == 400:
        faults = getattr(exc, "faults", None) or [
            ([exc.field] if exc.field else [], exc.message, "value_error")
        ]
        return 422, validation_body(faults)
    return code, error_body(path, code, exc.error, exc.message, request_id)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's handler first (it marks the rollback and sets ``Retry-After``), then the dialect."""
    request: Request = context["request"]
    path, request_id = request.path, request_id_of(request)
    known = translate(exc)
    if known is None:
        return _library_response(exc, context, path, request_id)
    if isinstance(known, errors.Unavailable):
        logger.warning("unavailable", extra={"error": known.error, "path": path})
    views.set_rollback()
    code, body = render(known, path, request_id)
    response = Response(body, status=code)
    if code == 401:
        response["WWW-Authenticate"] = "Bearer"
    if known.retry_after_seconds is not None:
        response["Retry-After"] = str(known.retry_after_seconds)
    return response


def _library_response(
    exc: Exception, context: Mapping[str, Any], path: str, request_id: str
) -> Response | None:
    response = views.exception_handler(exc, dict(context))
    if response is None:
        return None
    error, message = _library_message(exc, response.status_code)
    response.data = error_body(path, response.status_code, error, message, request_id)
    return response


def _library_message(exc: Exception, code: int) -> tuple[str, str]:
    if isinstance(exc, Http404 | django_exceptions.ObjectDoesNotExist):
        return "Not found", "There is nothing at this address."
    if isinstance(exc, drf_exceptions.APIException):
        titles = {405: "Method not allowed", 429: "Too many requests", 401: "Unauthorized"}
        return titles.get(code, str(exc.default_detail).rstrip(".")), str(exc.detail)
    return "Forbidden", "This is not allowed."
