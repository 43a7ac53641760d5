"""Authentication and scopes of routes, and what ``SAGA_AUTH`` opens to all callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from registry import errors
from registry.identity import accounts, local_token, oidc
from registry.identity.accounts import Caller
from saga_project.shared import callers, origins, rate_limits

if TYPE_CHECKING:  # DRF imports this module before its views exist
    from rest_framework.views import APIView

READS = frozenset({"GET", "HEAD", "OPTIONS"})
OTHER_SITES = frozenset({"cross-site", "same-site"})  # values of Sec-Fetch-Site


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer``; a header that is sent must be good, in open mode too."""

    def authenticate(self, request: Request) -> tuple[Caller, Any] | None:
        caller = authenticate(request)
        return None if caller is None else (caller, caller.token)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ScopePermission(BasePermission):
    """The scope that the view's ``required_scopes`` names for the method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        authorise(request, view, caller=accounts.caller_of(request.user))
        return True


def authenticate(request: HttpRequest | Request) -> Caller | None:
    """Return the caller of ``request``, None without a token; raises TokenRefused."""
    header = request.META.get("HTTP_AUTHORIZATION", "").strip(" ")
    if not header:
        return None
    scheme, _, text = header.partition(" ")
    text = text.strip(" ")
    if scheme.lower() != "bearer" or not accounts.is_token_text(text):
        raise errors.TokenRefused("Send the token as 'Authorization: Bearer <token>'.")
    address = request.META.get("REMOTE_ADDR", "")
    rate_limits.check_guesses(address)
    try:
        caller = recognise(text)
    except errors.TokenRefused:
        rate_limits.note_guess(address)
        raise
    if caller.token is not None:
        origins.note_token(caller.token.prefix)
    return caller


def recognise(text: str) -> Caller:
    """Return the caller of the token or JWT ``text``; raises TokenRefused."""
    if local_token.is_local_token(text):
        return local_token.recognise(text, now=timezone.now())
    if oidc.is_jwt(text):
        return oidc.recognise(text, now=timezone.now())
    return accounts.recognise(text, now=timezone.now())


def authorise(request: HttpRequest | Request, view: Any, *, caller: Caller | None) -> None:
    """Raise NotAllowed unless ``caller`` may use this method of ``view``.

    A view may say ``requires_service_account`` or ``requires_token``, and ``accepts_signature`` where it
    checks the signature of a request without a token (and calls ``demand`` if there is none).
    """
    if request.method not in view.allowed_methods:
        return
    scope = required_scope(view, request.method or "")
    if scope is None:
        if caller is None and getattr(view, "requires_token", False):
            raise errors.TokenMissing("Send a token as 'Authorization: Bearer <token>'.")
        return
    if getattr(view, "requires_service_account", False):
        _demand_service_account(caller, scope)
    elif caller is None and getattr(view, "accepts_signature", False):
        return
    elif caller is None and getattr(view, "requires_token", False):
        raise errors.TokenMissing(
            "Send a token as 'Authorization: Bearer <token>': an account decides."
        )
    else:
        demand(request, caller, scope)


def required_scope(view: Any, method: str) -> str | None:
    """Return the scope that ``method`` of ``view`` requires; None for a public route."""
    scopes: dict[str, str] = view.required_scopes
    if method in ("HEAD", "OPTIONS"):
        return scopes.get("GET") or next(iter(scopes.values()), None)
    return scopes.get(method)


def demand(request: HttpRequest | Request, caller: Caller | None, scope: str) -> None:
    """Raise NotAllowed unless ``caller`` has ``scope``, or this server is open to the request.

    In open mode every caller may read, whatever its token; a change is made in the name of the
    token's account, so it is held to the token's scopes.
    """
    is_open = is_open_to(request)
    if caller is None:
        if not is_open:
            raise errors.TokenMissing("Send a token as 'Authorization: Bearer <token>'.")
        _refuse_other_sites(request)
        return
    if not caller.has_scope(scope) and not (is_open and request.method in READS):
        raise errors.ScopeMissing(f"The token of '{caller}' does not have the scope '{scope}'.")


def is_open_to(request: HttpRequest | Request) -> bool:
    """Return whether the request is served without a token: in open mode, to local callers."""
    if settings.SAGA_AUTH != "open":
        return False
    has_host = "HTTP_HOST" in request.META or "asgi.scope" not in request.META
    return callers.is_local(
        peer=request.META.get("REMOTE_ADDR", ""),
        # Without the header Django takes the name of the listening socket.
        host=request.get_host() if has_host else "",
        http_version=request.META.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        header_names=[name.lower() for name in request.headers],
    )


def _refuse_other_sites(request: HttpRequest | Request) -> None:
    """Raise CrossSiteRequest where a page of another site makes the browser send a change."""
    if request.method in READS:
        return
    origin = request.headers.get("Origin")
    own = f"{request.scheme}://{request.get_host()}"
    is_foreign = origin is not None and origin.lower() != own.lower()
    if is_foreign or request.headers.get("Sec-Fetch-Site", "").lower() in OTHER_SITES:
        raise errors.CrossSiteRequest(
            "A page of another site sent this request. Send a token, or call from a program."
        )


def _demand_service_account(caller: Caller | None, scope: str) -> None:
    if caller is None:
        raise errors.TokenMissing(
            "Authenticate as a service account: 'Authorization: Bearer <token>'."
        )
    if not caller.is_service_account and not caller.is_super:
        raise errors.ServiceAccountRequired("Only a service account may call this.")
    if not caller.has_scope(scope):
        raise errors.ScopeMissing(f"The token of '{caller}' does not have the scope '{scope}'.")
