"""Pages around the login, and what pages of allauth need to look like the console's."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from saga_project.console.sign_in import factors

#: Addresses that views of allauth answer.
FOREIGN = ("mfa_", "account_")


def of_console(request: HttpRequest) -> dict[str, Any]:
    """Return, as a context processor, what the console's layout needs on pages of allauth."""
    match = request.resolver_match
    if match is None or not (match.url_name or "").startswith(FOREIGN) or match.namespaces:
        return {}
    site = admin.site.each_context(request)
    is_missing = isinstance(request.user, AbstractUser) and factors.is_missing(request.user)
    return {**site, "title": "Second factor", "sg_factor_is_missing": is_missing}


def address_of(request: HttpRequest, path: str) -> str:
    """Return a path of this server as browsers outside reach it."""
    if settings.SAGA_PUBLIC_URL:
        return f"{settings.SAGA_PUBLIC_URL}{path}"
    return request.build_absolute_uri(path)


def refusal(request: HttpRequest, reason: str) -> HttpResponse:
    """Answer a person that the provider knows and that has no role here."""
    return _page(request, "You have no access", reason, status=403)


def failed(request: HttpRequest, reason: str) -> HttpResponse:
    """Answer a login that came to nothing, on one of the two sides."""
    return _page(request, "The login did not work", reason, status=401)


def too_many(request: HttpRequest, *, wait_seconds: float) -> HttpResponse:
    """Answer an address that begins logins faster than people do."""
    reason = "Too many logins were begun from your address. Wait a minute, then try again."
    answer = _page(request, "Too many logins", reason, status=429)
    answer["Retry-After"] = str(math.ceil(wait_seconds))
    return answer


def _page(request: HttpRequest, title: str, text: str, *, status: int) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": title,
        "text": text,
        "request_id": getattr(request, "saga_request_id", ""),
    }
    return render(request, "console/login_refused.html", context, status=status)
