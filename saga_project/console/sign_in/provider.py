"""The OpenID Connect provider: which person it names, with which roles, and what is refused.

allauth redirects, keeps state and code verifier (PKCE), and exchanges the code. What it leaves open is
decided here: the ID token's signature and nonce are verified, a person is known by issuer and subject and
by nothing else (never by e-mail), and the roles are those of the provider's groups, at each login anew.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from registry.identity import oidc
from saga_project.console.sign_in import membership, pages, provider_logins
from saga_project.console.sign_in.calls import GuardedSession
from saga_project.console.sign_in.provider_logins import PROVIDER
from saga_project.shared import crypto
from saga_project.shared.errors import SagaError

ID_TOKEN_KEY = "saga_id_token"  # noqa: S105  (where a session keeps it)
CONFIGURATION_FRESH_SECONDS = 300
NEEDED = ("authorization_endpoint", "token_endpoint")

_configurations: dict[str, tuple[float, dict[str, Any]]] = {}


def is_configured() -> bool:
    return bool(settings.SAGA_OIDC_CLIENT_ID)


def configuration() -> dict[str, Any]:
    """Return what the issuer publishes about itself, for five minutes the same; raises OAuth2Error."""
    issuer: str = settings.SAGA_OIDC_ISSUER or ""
    read_at, known = _configurations.get(issuer, (float("-inf"), {}))
    if time.monotonic() - read_at < CONFIGURATION_FRESH_SECONDS:
        return known
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    with GuardedSession() as session:
        answer = session.get(url)
        answer.raise_for_status()
        found = answer.json()
    if found.get("issuer") != issuer:
        raise OAuth2Error("The provider calls itself by another name than SAGA_OIDC_ISSUER.")
    for name in (*NEEDED, "userinfo_endpoint", "end_session_endpoint"):
        place = found.get(name)
        if place is None and name not in NEEDED:
            continue
        if not isinstance(place, str) or not place.startswith(("https://", "http://")):
            raise OAuth2Error(f"The provider's configuration names no '{name}'.")
        if issuer.startswith("https://") and not place.startswith("https://"):
            raise OAuth2Error(f"The provider's '{name}' is no https address.")
    _configurations[issuer] = (time.monotonic(), found)
    return found


class ConsoleOAuth2Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The exchange with the provider, with the ID token verified."""

    @property
    def openid_config(self) -> dict[str, Any]:
        return configuration()

    @property
    def basic_auth(self) -> bool:
        """Whether id and secret are sent as HTTP Basic: how a client is registered where nothing is said.

        Providers that take both may take of a client only that for which it is registered.
        """
        key = "token_endpoint_auth_methods_supported"
        methods = self.openid_config.get(key, ["client_secret_basic"])
        return bool(settings.SAGA_OIDC_CLIENT_SECRET) and "client_secret_basic" in methods

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return pages.address_of(request, reverse("console_provider_callback"))

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> SocialLogin:
        """Return the person that the provider names. Claims of the ID token win over those of userinfo."""
        text = kwargs["response"].get("id_token")
        if not isinstance(text, str):
            raise OAuth2Error("The provider sent no ID token.")
        try:
            claims = oidc.verify_token(text, audience=app.client_id)
        except SagaError as exc:
            raise OAuth2Error(exc.message) from exc
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("The ID token was made for another program.")
        further = (
            self._fetch_user_info(token.token) if "userinfo_endpoint" in self.openid_config else {}
        )
        if further and further.get("sub") != claims["sub"]:
            raise OAuth2Error("The provider's userinfo is about another person than its ID token.")
        request.session[ID_TOKEN_KEY] = crypto.encrypt(text)
        provider_logins.note(request, claims, now=timezone.now())
        return self.get_provider().sociallogin_from_response(request, {**further, **claims})


class ConsoleProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """The one provider of ``SAGA_OIDC_ISSUER``."""

    pkce_enabled_default = True
    oauth2_adapter_class = ConsoleOAuth2Adapter

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Return a digest of issuer and subject: another issuer's subjects are other people."""
        return provider_logins.subject_of(data)

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"iss": data["iss"], "sub": data["sub"]}

    def sociallogin_from_response(
        self, request: HttpRequest, response: dict[str, Any]
    ) -> SocialLogin:
        login = super().sociallogin_from_response(request, response)
        login.claims = response
        return login


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Where allauth asks for decisions."""

    def get_requests_session(self) -> GuardedSession:
        return GuardedSession()

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> ConsoleProvider:
        """Return the provider of the settings; none is read from the database."""
        app = SocialApp(
            provider="openid_connect",
            provider_id=PROVIDER,
            name=settings.SAGA_OIDC_NAME,
            client_id=settings.SAGA_OIDC_CLIENT_ID,
            secret=settings.SAGA_OIDC_CLIENT_SECRET,
            settings={
                "server_url": settings.SAGA_OIDC_ISSUER,
                "oauth_pkce_enabled": True,
                "scope": settings.SAGA_OIDC_SCOPES,
            },
        )
        return ConsoleProvider(request, app=app)

    def authenticate_by_email(self, sociallogin: SocialLogin) -> None:
        return None

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # ``pre_social_login`` makes the people that may come

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Admit the person with the roles of its groups, or answer with the page that says why not."""
        claims: dict[str, Any] = sociallogin.claims
        nonce = (sociallogin.state.get("data") or {}).get("nonce", "")
        if not secrets.compare_digest(str(claims.get("nonce", "")), nonce) or not nonce:
            raise OAuth2Error("The ID token was not made for this login.")
        sociallogin.token = None  # allauth would keep it in the session until the second factor
        sociallogin.email_addresses = []
        known = sociallogin.user if sociallogin.is_existing else None
        account = sociallogin.account

        def link(person: User) -> None:
            SocialAccount.objects.create(
                user=person, provider=PROVIDER, uid=account.uid, extra_data=account.extra_data
            )

        try:
            membership.admit(claims, known=known, link=link)
        except membership.LoginRefused as exc:
            for key in (ID_TOKEN_KEY, provider_logins.KEY):
                request.session.pop(key, None)
            raise ImmediateHttpResponse(pages.refusal(request, exc.message)) from exc
        except IntegrityError as exc:
            raise OAuth2Error("This person logs in twice at once. Begin again.") from exc
        if known is None:
            sociallogin.lookup()

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        reason = str(exception) if exception else _said(request)
        if "state" in (extra_context or {}):  # a login that this browser began
            membership.note_refusal("anonymous", reason)
        raise ImmediateHttpResponse(pages.failed(request, reason))


def _said(request: HttpRequest) -> str:
    """Return what the provider, or the state of the session, says about a login that did not happen."""
    error = request.GET.get("error", "")
    if error == "access_denied":
        return "The login at the provider was cancelled."
    if error:
        return f"The provider answered with the error '{error[:64]}'."
    return "This login was not begun in this browser, or too long ago. Begin again."


def begin(request: HttpRequest, *, onward: str) -> HttpResponse:
    """Send the browser to the provider; ``onward`` is where it comes to after the login."""
    adapter = ProviderAdapter(request)
    provider = adapter.get_provider(request, PROVIDER)
    nonce = secrets.token_urlsafe(24)
    try:
        answer: HttpResponse = provider.redirect(
            request,
            "login",
            next_url=onward,
            data={"nonce": nonce},
            auth_params={"nonce": nonce},
        )
    except OAuth2Error as exc:
        return pages.failed(request, str(exc))
    return answer


def complete(request: HttpRequest) -> HttpResponse:
    """Answer the browser that comes back from the provider."""
    view = OAuth2CallbackView.adapter_view(ConsoleOAuth2Adapter(request, PROVIDER))
    try:
        answer: HttpResponse = view(request)
    except OAuth2Error as exc:  # where allauth asks for the configuration before it catches
        return pages.failed(request, str(exc))
    return answer
