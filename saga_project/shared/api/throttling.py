"""Rate limits of the API's views."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from saga_project.shared import rate_limits


class CallerThrottle(BaseThrottle):
    """``SAGA_RATE_LIMIT`` calls a second for each token, and for each address without one.

    A request's ``user`` has a ``key`` if a token names the caller.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        caller_key: str | None = getattr(request.user, "key", None)
        rate_limits.check(request.META.get("REMOTE_ADDR", ""), caller_key=caller_key)
        return True
