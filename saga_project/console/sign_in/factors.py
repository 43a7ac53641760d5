"""Second factors: sealed secrets, and roles that must have one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from saga_project.shared import crypto
from saga_project.shared.sign_in import ROLES

#: What counts; recovery codes alone do not.
KINDS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
#: Where a person without a factor may go that must have one.
OPEN = {
    *("mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn"),
    *("mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"),
    *("account_reauthenticate", "account_login", "account_logout", "login", "logout", "jsi18n"),
}


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of authenticator apps and recovery codes encrypted (``SAGA_ENCRYPTION_KEYS``)."""

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text)

    def get_totp_label(self, user: AbstractUser) -> str:
        return user.get_username()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the name that security keys are bound to: the host under which browsers open Saga."""
        outside = urlsplit(settings.SAGA_PUBLIC_URL).hostname
        return {"id": outside or context.request.get_host().partition(":")[0], "name": "Saga"}


def is_required(person: AbstractUser) -> bool:
    """Whether ``SAGA_REQUIRE_SECOND_FACTOR`` names a role of the person; a superuser has the highest."""
    required = set(settings.SAGA_REQUIRE_SECOND_FACTOR)
    if person.is_superuser and ROLES[-1] in required:
        return True
    return bool(required) and person.groups.filter(name__in=required).exists()


def is_missing(person: AbstractUser) -> bool:
    """Whether the person must have a second factor, and has none."""
    return is_required(person) and not is_mfa_enabled(person, KINDS)


class SecondFactorMiddleware:
    """Sends a person that must have a second factor, and has none, to the page that sets one up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not settings.SAGA_REQUIRE_SECOND_FACTOR or not request.path.startswith("/admin/"):
            return None
        if not isinstance(request.user, AbstractUser):
            return None
        match = request.resolver_match
        if match is not None and match.url_name in OPEN and match.namespaces in ([], ["admin"]):
            return None
        return HttpResponseRedirect(reverse("mfa_index")) if is_missing(request.user) else None
