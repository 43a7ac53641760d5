"""Accounts and their tokens, changed by staff and programs alike, each change with its audit entry."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db import transaction

from registry import errors, names
from registry.identity import accounts, grants
from registry.identity.accounts import Caller
from registry.models import ServiceAccount, Token
from registry.operations import configured
from registry.operations.configured import Faults, Kind, actor_of
from saga_project.shared import auditing, labels, rules

#: How long a person's token is good at most, and where no end is asked for.
PERSONAL_LONGEST, PERSONAL_USUAL = dt.timedelta(days=366), dt.timedelta(days=90)


def _account_faults(account: ServiceAccount) -> Faults:
    if account.pk is None and not names.is_name(account.name):
        return {"name": "Use A-Z a-z 0-9 . _ - and begin with a letter or digit."}
    for scope in account.scopes:
        if scope not in accounts.SCOPES:
            return {"scopes": f"'{scope}' is no scope; there are {', '.join(accounts.SCOPES)}."}
    try:
        for name in account.services:
            names.check_service_name(name)
    except rules.InvalidServiceName as exc:
        return {"services": exc.message}
    found = grants.fault(account.selector)
    return {"selector": found} if found else {}


ACCOUNT = Kind(model=ServiceAccount, name="account", find_faults=_account_faults)


def ensure_account(
    name: str,
    *,
    scopes: Iterable[str],
    is_internal: bool,
    services: Iterable[str] | None,
    selector: str | None = None,
    by: Caller,
    now: dt.datetime,
) -> ServiceAccount:
    """Return the account as ``accounts.ensure_account`` does, and record what that changed.

    ``selector`` replaces what selects services by label, None leaves it as it is.
    """
    if selector is not None and (found := grants.fault(selector)):
        raise labels.InvalidSelector(found, field="selector")
    with transaction.atomic():
        known = ServiceAccount.objects.select_for_update(no_key=True).filter(name=name).first()
        before = configured.describe(known) if known else None
        account = accounts.ensure_account(
            name, scopes=scopes, is_internal=is_internal, services=services
        )
        if selector is not None:
            account.selector = selector
            ServiceAccount.objects.filter(pk=account.pk).update(selector=selector)
        configured.record(ACCOUNT, account, actor=actor_of(by), before=before, now=now)
    return account


def issue(
    account: ServiceAccount,
    *,
    scopes: Iterable[str],
    by: Caller | None,
    now: dt.datetime,
    expires_at: dt.datetime | None = None,
    name: str = "",
) -> tuple[Token, str]:
    """Return a new token and its text, which is stored nowhere.

    A caller that is no administrator issues tokens of its own account, with no scope that its own token
    lacks. Tokens of a person are issued by that person alone, and end within a year.
    Raises TokenOwned, ScopeMissing, UnknownScope, ScopeNotGranted, InvalidExpiry.
    """
    chosen = accounts.check_scopes(scopes)
    if by is not None and not by.is_admin:
        _check_is_own(account, by)
        if missing := [scope for scope in chosen if not by.has_scope(scope)]:
            raise errors.ScopeMissing(f"Your own token does not have {', '.join(missing)}.")
    if expires_at is not None and expires_at <= now:
        raise errors.InvalidExpiry("'expires_at' must be in the future.", field="expires_at")
    if account.person_id is not None:
        expires_at = _expiry_of_personal(account, by, expires_at, now)
    with transaction.atomic():
        token, text = accounts.issue_token(account, scopes=chosen, expires_at=expires_at, name=name)
        _record("token.issued", token, by=by, now=now)
    return token, text


def _expiry_of_personal(
    account: ServiceAccount, by: Caller | None, asked: dt.datetime | None, now: dt.datetime
) -> dt.datetime:
    """Return when a person's new token ends. Raises TokenOwned, InvalidExpiry."""
    if by is None or by.account.pk != account.pk:
        raise errors.TokenOwned("A person's tokens are issued by that person alone.")
    if asked is not None and asked > now + PERSONAL_LONGEST:
        raise errors.InvalidExpiry(
            f"A person's token ends within {PERSONAL_LONGEST.days} days.", field="expires_at"
        )
    ends = asked or now + PERSONAL_USUAL
    # A token that makes its successor would live for ever.
    issuer = by.token.expires_at if by.token is not None else None
    return min(ends, issuer) if issuer is not None else ends


def revoke(token: Token, *, by: Caller | None, now: dt.datetime) -> bool:
    """End a token; False where it had ended before. Raises TokenOwned."""
    if by is not None and not by.is_admin:
        _check_is_own(token.account, by)
    with transaction.atomic():
        is_first = accounts.revoke_token(token, at=now)
        if is_first:
            _record("token.revoked", token, by=by, now=now)
    return is_first


def _check_is_own(account: ServiceAccount, by: Caller) -> None:
    if account.pk != by.account.pk:
        raise errors.TokenOwned(
            f"The token is of account '{account}': send one with the scope 'admin:registry'."
        )


def _record(action: str, token: Token, *, by: Caller | None, now: dt.datetime) -> None:
    data = {
        "account": token.account.name,
        "prefix": token.prefix,
        "name": token.name,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }
    auditing.record(action, actor=actor_of(by), data=data, at=now)
