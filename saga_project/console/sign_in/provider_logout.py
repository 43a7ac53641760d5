"""Logouts that the provider reports: OpenID Connect Back-Channel Logout 1.0.

The provider posts a logout token, which is verified and kept (``EndedLogin``). A session that came from the
login it names ends at its next request, also one that still waits for its second factor: no list of sessions
is kept that could miss one. A token that is repeated, or an ID token in its place, is refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import jwt
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from registry.identity import oidc
from registry.models import EndedLogin
from saga_project.console.sign_in import provider_logins, sessions
from saga_project.shared import auditing
from saga_project.shared.errors import SagaError

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYPES = (None, "JWT", "logout+jwt")
REQUIRED = ("iss", "aud", "iat", "exp", "jti", "events")
LATEST = dt.timedelta(minutes=10)


class LogoutRefused(Exception):
    """The logout token is none that the provider would send to Saga; the message says why."""


@dataclasses.dataclass(frozen=True)
class Logout:
    """What a verified logout token says, as digests; ``subject`` or ``sid`` may be empty."""

    token: str
    subject: str
    sid: str
    issued_at: dt.datetime


def receive(text: str, *, now: dt.datetime) -> None:
    """End the logins that a logout token names. Raises LogoutRefused."""
    logout = _read(text, now=now)
    with transaction.atomic():
        _, is_new = EndedLogin.objects.get_or_create(
            token=logout.token,
            defaults={
                "subject": logout.subject,
                "sid": logout.sid,
                "issued_at": logout.issued_at,
                "received_at": now,
            },
        )
        if not is_new:
            raise LogoutRefused("The logout token was sent before.")
        accounts = SocialAccount.objects.filter(
            provider=provider_logins.PROVIDER, uid=logout.subject
        )
        name = accounts.values_list("user__username", flat=True).first()
        data = {"what": "one session" if logout.sid else "all sessions", "by": "provider"}
        auditing.record("login.revoked", actor=name or "provider", data=data, at=now)


def _read(text: str, *, now: dt.datetime) -> Logout:
    """Return what a logout token says, verified as section 2.6 demands."""
    try:
        claims = oidc.verify_token(text, audience=settings.SAGA_OIDC_CLIENT_ID, required=REQUIRED)
    except SagaError as exc:
        raise LogoutRefused(exc.message) from exc
    if jwt.get_unverified_header(text).get("typ") not in TYPES:
        raise LogoutRefused("The token is of another type than a logout token.")
    if "nonce" in claims:
        raise LogoutRefused("A logout token has no 'nonce'; this may be an ID token.")
    events = claims["events"]
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LogoutRefused("The token's 'events' do not name a logout.")
    for name in ("sub", "sid", "jti"):
        if name in claims and not (isinstance(claims[name], str) and claims[name]):
            raise LogoutRefused(f"The token's '{name}' is no text.")
    if "sub" not in claims and "sid" not in claims:
        raise LogoutRefused("The token names neither a person ('sub') nor a session ('sid').")
    issued_at = provider_logins.moment(claims["iat"])
    if issued_at is None or now - issued_at > LATEST:
        raise LogoutRefused("The token's 'iat' is too long ago, or no time.")
    return Logout(
        token=provider_logins.digest(claims, "jti"),
        subject=provider_logins.subject_of(claims) if "sub" in claims else "",
        sid=provider_logins.digest(claims, "sid"),
        issued_at=issued_at,
    )


def has_ended(request: HttpRequest) -> bool:
    """Return whether the session comes from a login that ended at the provider: at most one query."""
    login: Any = request.session.get(provider_logins.KEY)
    if not login:
        return False
    is_named = Q(subject=login["subject"], issued_at__gte=dt.datetime.fromisoformat(login["at"]))
    if login["sid"]:
        is_named = Q(sid=login["sid"]) | (is_named & Q(sid=""))
    return EndedLogin.objects.filter(is_named).exists()


class ProviderLogoutMiddleware:
    """Ends a session at the first request after its login ended at the provider."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/admin/") and has_ended(request):
            return sessions.end(request)
        return self.get_response(request)
