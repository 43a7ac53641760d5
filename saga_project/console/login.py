"""Logging in: where an attempt comes from, when a name is locked, and cookies for TLS only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from saga_project.shared.sign_in import FAILURE_LIMIT

#: Failures of one name from any address, within the time that one address is locked for.
FAILURES_OF_NAME = 20


class LockoutHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """Locks a name at one address after a few failures, and everywhere after many.

    The second rule stops guessing from many addresses. Open sessions go on.
    """

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the failures at this address or of this name on the same scale; the larger number counts."""
        at_address = int(super().get_failures(request, credentials))
        of_name = _failures_of_name(request, credentials)
        return max(at_address, of_name * FAILURE_LIMIT // FAILURES_OF_NAME)


def _failures_of_name(request: HttpRequest, credentials: dict[str, Any] | None) -> int:
    name = get_client_username(request, credentials)
    attempts = AccessAttempt.objects.filter(
        username=name, attempt_time__gte=get_cool_off_threshold(request)
    )
    return attempts.aggregate(total=Sum("failures_since_start"))["total"] or 0


def address_of(request: HttpRequest) -> str | None:
    """Return the client's address; forwarded headers have been checked before Django sees the request."""
    return request.META.get("REMOTE_ADDR")


class SecureCookiesMiddleware:
    """Marks the console's cookies Secure where the client speaks HTTPS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.is_secure():
            for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
                if name in response.cookies:
                    response.cookies[name]["secure"] = True
        return response
