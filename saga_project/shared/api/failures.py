"""Answers to requests that failed outside the API's views."""

from __future__ import annotations

import sys

import orjson
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from saga_project.shared import errors
from saga_project.shared.api import rendering
from saga_project.shared.api.requests import request_id_of


def _json_error(
    request: HttpRequest, code: int, error: str, message: str, *, retry_after: int | None = None
) -> HttpResponse:
    body = rendering.error_body(request.path, code, error, message, request_id_of(request))
    response = HttpResponse(orjson.dumps(body), status=code, content_type="application/json")
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django calls it so
    return _json_error(request, 404, "Not found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _json_error(request, 400, "Bad request", why_bad(exception))


def why_bad(exception: Exception | None) -> str:
    """Return why Django rejected a request before any view saw it, as a sentence for users."""
    if isinstance(exception, DisallowedHost):
        return "Saga does not go by this host name; SAGA_ALLOWED_HOSTS lists the names that it goes by."
    return "The request cannot be read."


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django calls it so
    return _json_error(request, 403, "Forbidden", "This is not allowed.")


def server_error(request: HttpRequest) -> HttpResponse:
    gone = unavailable()
    if gone is not None:
        return _json_error(
            request, 503, gone.error, gone.message, retry_after=gone.retry_after_seconds
        )
    return _json_error(
        request,
        500,
        "Internal error",
        "Saga failed to answer; its log says why under this request id.",
    )


def unavailable() -> errors.Unavailable | None:
    """Return what is gone, where that is why the request failed that is being handled."""
    exc = sys.exc_info()[1]
    known = rendering.translate(exc) if isinstance(exc, Exception) else None
    return known if isinstance(known, errors.Unavailable) else None
