"""People as callers: the account of their personal tokens, and what their roles allow."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import User
from django.db import transaction

from registry import errors
from registry.identity import roles, scopes
from registry.models import MAX_NAME_LENGTH, ServiceAccount, Token

#: Tokens of a person that the provider knows work for so long after its last login.
PROVIDER_TRUST = dt.timedelta(days=30)
ACCOUNT_MARK = "person:"  # no name that create_token takes has a colon


def may_call(person: User) -> bool:
    """Whether tokens of the person are accepted at all."""
    return person.is_active and person.is_staff


def end_of(token: Token, *, now: dt.datetime) -> dt.datetime | None:
    """Return when a token ends, None for never; raises TokenRefused where it has.

    A person of the provider must log in now and then: only a login says that it has left or lost a group.
    """
    if token.expires_at is not None and token.expires_at <= now:
        raise errors.TokenRefused("The token has expired.")
    person = token.account.person
    if person is None or person.has_usable_password():
        return token.expires_at
    confirmed_until = (person.last_login or person.date_joined) + PROVIDER_TRUST
    if confirmed_until <= now:
        raise errors.TokenRefused("Log in to the console: your provider must confirm your roles.")
    return min(token.expires_at or confirmed_until, confirmed_until)


def scopes_of(person: User) -> frozenset[str]:
    """Return what the person's roles allow now: one query."""
    if not may_call(person):
        return frozenset()
    held = set(person.groups.values_list("name", flat=True))
    if person.is_superuser or roles.ADMINISTRATORS in held:
        return frozenset(scopes.SCOPES)
    return frozenset().union(*(roles.SCOPES[role] for role in held & roles.SCOPES.keys()))


def granted_to(account: ServiceAccount) -> frozenset[str]:
    """Return the scopes that the account's tokens have at most: its own, or those of its person's roles."""
    if account.person is not None:
        return scopes_of(account.person)
    return frozenset(account.scopes)


def account_of(person: User) -> ServiceAccount:
    """Return the account that owns the person's tokens, made if need be."""
    known = ServiceAccount.objects.filter(person=person).first()
    if known is not None:
        return known
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        account, _ = ServiceAccount.objects.get_or_create(
            person=person, defaults={"name": _name_for(person)}
        )
    return account


def is_of_former_person(account: ServiceAccount) -> bool:
    """Whether the account was a person's that exists no more."""
    return account.person_id is None and account.name.startswith(ACCOUNT_MARK)


def _name_for(person: User) -> str:
    name = ACCOUNT_MARK + person.get_username()
    is_free = not ServiceAccount.objects.filter(name=name).exists()
    return name if is_free and len(name) <= MAX_NAME_LENGTH else f"{ACCOUNT_MARK}{person.pk}"
