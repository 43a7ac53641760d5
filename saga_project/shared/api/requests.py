"""Request ids: taken or made, on every answer and every log line."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from saga_project.shared import origins

_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


def request_id_of(request: Any) -> str:
    inner = getattr(request, "_request", request)
    return str(getattr(inner, "saga_request_id", ""))


def choose_request_id(offered: str | None) -> str:
    """Return the caller's id where it is 1-128 printable ASCII characters, else a new one."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return f"{random.getrandbits(128):032x}"


class RequestIdMiddleware:
    """Gives each request its id, and renders what failed before or beside a view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = choose_request_id(request.headers.get("X-Request-ID"))
        request.saga_request_id = request_id  # type: ignore[attr-defined]
        address = request.META.get("REMOTE_ADDR", "")
        with (
            origins.noted(origins.Origin(request_id=request_id, address=address)),
            structlog.contextvars.bound_contextvars(request_id=request_id, client=address),
        ):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
