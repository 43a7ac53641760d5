"""How people log in: what an operator may set, checked, and what no operator changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environs import ValidationError

from saga_project.env import ConfigurationError

#: What a provider's group may lead to, from the least to the most.
ROLES = ("viewers", "operators", "approvers", "administrators")
#: Wrong passwords of a name from one address.
FAILURE_LIMIT = 5
CLIENT_SECRET = "oidc_client_secret"  # noqa: S105  (a file's name)
_HERE = "saga_project.console.sign_in"

#: What ends sessions, and what stops people without a second factor; after Django's own.
MIDDLEWARE = [
    f"{_HERE}.provider_logout.ProviderLogoutMiddleware",
    f"{_HERE}.sessions.IdleMiddleware",
    f"{_HERE}.factors.SecondFactorMiddleware",
]
#: Settings of Django, axes and allauth.
SETTINGS: dict[str, Any] = {
    "AUTHENTICATION_BACKENDS": [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ],
    "AUTH_PASSWORD_VALIDATORS": [
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in (
            "MinimumLengthValidator",
            "CommonPasswordValidator",
            "NumericPasswordValidator",
        )
    ],
    "SESSION_COOKIE_AGE": 12 * 3600,
    "CSRF_COOKIE_HTTPONLY": True,
    "CSRF_FAILURE_VIEW": "saga_project.console.failures.csrf_failure",
    "LOGIN_URL": "admin:login",
    "LOGIN_REDIRECT_URL": "admin:index",
    "AXES_FAILURE_LIMIT": FAILURE_LIMIT,
    "AXES_COOLOFF_TIME": dt.timedelta(minutes=15),
    "AXES_LOCKOUT_PARAMETERS": [["username", "ip_address"]],
    "AXES_HANDLER": "saga_project.console.login.LockoutHandler",
    "AXES_CLIENT_IP_CALLABLE": "saga_project.console.login.address_of",
    "AXES_LOCKOUT_TEMPLATE": "console/locked_out.html",
    "AXES_HTTP_RESPONSE_CODE": 429,
    "AXES_RESET_ON_SUCCESS": True,
    "AXES_ENABLE_ADMIN": False,
    "AXES_VERBOSE": False,
    "ACCOUNT_ADAPTER": f"{_HERE}.steps.ConsoleAccountAdapter",
    "ACCOUNT_EMAIL_VERIFICATION": "none",
    "ACCOUNT_LOGIN_METHODS": {"username"},
    "ACCOUNT_SIGNUP_FIELDS": ["username*", "password1*"],
    # As axes does with passwords: five wrong codes of one person in a quarter of an hour.
    "ACCOUNT_RATE_LIMITS": {"login_failed": "20/m/ip,5/15m/key", "reauthenticate": "10/m/user"},
    "SOCIALACCOUNT_ADAPTER": f"{_HERE}.provider.ProviderAdapter",
    "SOCIALACCOUNT_AUTO_SIGNUP": False,
    "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
    "SOCIALACCOUNT_STORE_TOKENS": False,
    "MFA_ADAPTER": f"{_HERE}.factors.SealingAdapter",
    "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
    "MFA_TOTP_ISSUER": "Saga",
    "MFA_TOTP_TOLERANCE": 1,  # steps of 30 seconds by which the clocks may differ
    "MFA_RECOVERY_CODES_SHOW_ONCE": True,
    "MFA_ALLOW_UNVERIFIED_EMAIL": True,
}


def check_groups(groups: Mapping[str, Any]) -> None:
    """Raise ValidationError unless each group of the provider leads to one of the four roles."""
    if not isinstance(groups, Mapping):
        raise ValidationError('write a JSON object such as {"saga-admins": "administrators"}.')
    for group, role in groups.items():
        if role not in ROLES:
            raise ValidationError(f"group '{group}' leads to '{role}'; the roles are {_LISTED}.")


def check_roles(roles: list[str]) -> None:
    """Raise ValidationError unless each text is a role."""
    for role in roles:
        if role not in ROLES:
            raise ValidationError(f"'{role}' is no role; the roles are {_LISTED}.")


def client_secret(data_dir: Path, named: str | None) -> str:
    """Return the secret that the provider gave to Saga: ``named``, else that of the file, else nothing."""
    if named:
        return named
    try:
        return (data_dir / "secrets" / CLIENT_SECRET).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def demand_a_way(
    issuer: str | None, client_id: str | None, groups: Mapping[str, str], *, is_local: bool
) -> None:
    """Stop the process where no person could log in with these settings."""
    if client_id and not issuer:
        raise ConfigurationError("SAGA_OIDC_CLIENT_ID is set, but SAGA_OIDC_ISSUER is not.")
    if client_id and not groups:
        raise ConfigurationError(
            "SAGA_OIDC_CLIENT_ID is set without SAGA_OIDC_GROUPS: no person of the provider would have a"
            ' role. Write, for example, SAGA_OIDC_GROUPS={"saga-admins": "administrators"}.'
        )
    if not is_local and not client_id:
        raise ConfigurationError(
            "SAGA_LOCAL_LOGIN=false, and there is no other way to log in:"
            " set SAGA_OIDC_ISSUER and SAGA_OIDC_CLIENT_ID."
        )


_LISTED = ", ".join(ROLES)
