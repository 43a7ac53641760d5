"""The token of ``SAGA_AUTH=local-token``, in a file that only the account that runs Saga can read."""

from __future__ import annotations

import datetime as dt
import hmac

from django.conf import settings

from registry import errors
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import ServiceAccount

ACCOUNT = "local:owner"  # create_token takes no name with a colon


def is_local_token(text: str) -> bool:
    expected: str = settings.SAGA_LOCAL_TOKEN
    return bool(expected) and hmac.compare_digest(text.encode(), expected.encode())


def recognise(text: str, *, now: dt.datetime) -> Caller:
    """Return the caller of the local token: an account with every scope."""
    return accounts.confirm(text, lambda _: _caller(), now=now)


def _caller() -> Caller:
    account, _ = ServiceAccount.objects.get_or_create(name=ACCOUNT)
    if not account.is_active:
        raise errors.TokenRefused("The account of the local token is switched off.")
    return Caller(account=account, scopes=frozenset(accounts.SCOPES))
