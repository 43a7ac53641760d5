"""What callers of an account may do now, as far as its row shows: for work in its name between two calls."""

from __future__ import annotations

from django.conf import settings

from registry.identity import local_token, oidc, people, scopes
from registry.models import ServiceAccount


def scopes_of(account: ServiceAccount) -> frozenset[str]:
    """Return the scopes that tokens of the account may have; of an account of the issuer none is known."""
    if not account.is_active:
        return frozenset()
    if account.name == local_token.ACCOUNT:
        return frozenset(scopes.SCOPES) if settings.SAGA_LOCAL_TOKEN else frozenset()
    return people.granted_to(account)


def may_have(account: ServiceAccount, scope: str) -> bool:
    """Whether the account may have the scope; the issuer says so of its own in each token, and not here."""
    if account.is_active and account.name.startswith(oidc.ACCOUNT_MARK):
        return True
    return not {scope, scopes.ADMIN_SCOPE}.isdisjoint(scopes_of(account))
