"""Error pages of the console; programs get JSON."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from saga_project.shared import api

PREFIX = "/admin/"


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return api.not_found(request, exception)
    return _page(request, 404, "Not here", "There is nothing at this address, or not any more.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return api.permission_denied(request, exception)
    return _page(request, 403, "Not yours to do", "Your role does not allow this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 (Django passes it)
    """Answer a form without its secret: an old tab, refused cookies, or a proxy that Saga does not know."""
    if not request.path.startswith(PREFIX):
        return api.permission_denied(request)
    text = (
        "This form does not belong to your session. Go back, load the page anew and send it again."
        " Behind a proxy, SAGA_PUBLIC_URL must be the address in your browser."
    )
    return _page(request, 403, "Form not accepted", text)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return api.bad_request(request, exception)
    return _page(request, 400, "Unreadable", api.why_bad(exception))


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return api.server_error(request)
    gone = api.unavailable()
    if gone is not None:
        return _page(request, 503, gone.error, gone.message)
    return _page(request, 500, "Saga failed", "The log says why, under this request id.")


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    context = {"title": title, "text": text, "request_id": getattr(request, "saga_request_id", "")}
    return render(request, "console/failure.html", context, status=status)
