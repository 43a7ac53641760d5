"""Sessions that end: after a time without a click, and at the provider as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from saga_project.console import fragments
from saga_project.console.sign_in import pages, provider
from saga_project.shared import auditing, crypto

ACTIVE_KEY = "saga_active_at"
PRECISION_SECONDS = 30
#: A session that waits for the provider's answer ends so soon; a login gives it its time.
PENDING_SECONDS = 30 * 60


class IdleMiddleware:
    """Ends a session that made no click for ``SAGA_SESSION_IDLE_MINUTES``; what pages fetch is none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SAGA_SESSION_IDLE_MINUTES and request.path.startswith("/admin/"):
            if not request.user.is_authenticated:
                return self.get_response(request)
            idle = time.time() - request.session.get(ACTIVE_KEY, 0)
            if ACTIVE_KEY in request.session and idle > settings.SAGA_SESSION_IDLE_MINUTES * 60:
                with transaction.atomic():
                    name = request.user.get_username()
                    auditing.record("login.expired", actor=name, at=timezone.now())
                return end(request)
            is_click = fragments.FRAGMENT_HEADER not in request.headers
            if is_click and idle > PRECISION_SECONDS:
                request.session[ACTIVE_KEY] = time.time()
        return self.get_response(request)


def end(request: HttpRequest) -> HttpResponse:
    """End the session, and lead to the login and from there back."""
    logout(request)
    login = reverse("admin:login")
    if request.headers.get(fragments.FRAGMENT_HEADER):
        answer = HttpResponse(status=204)
        answer[fragments.ONWARD_HEADER] = login
        return answer
    onward = (
        urlencode({REDIRECT_FIELD_NAME: request.get_full_path()}) if request.method == "GET" else ""
    )
    return HttpResponseRedirect(f"{login}?{onward}" if onward else login)


def address_of_goodbye(request: HttpRequest) -> str:
    """Return where the provider ends its own session of this person; empty without one."""
    sealed: Any = request.session.get(provider.ID_TOKEN_KEY)
    if not sealed or not provider.is_configured():
        return ""
    try:
        place = provider.configuration().get("end_session_endpoint")
        hint = crypto.decrypt(sealed)
    except (OAuth2Error, crypto.SecretUnreadable):
        return ""
    if not place:
        return ""
    query = {
        "id_token_hint": hint,
        "client_id": settings.SAGA_OIDC_CLIENT_ID,
        "post_logout_redirect_uri": pages.address_of(request, reverse("admin:login")),
    }
    return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"
