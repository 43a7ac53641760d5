"""People of the provider as people of the console: their names, and the roles of their groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from saga_project.console import holders
from saga_project.shared import auditing
from saga_project.shared.sign_in import ROLES

MAX_USERNAME_LENGTH = 150
MAX_REASON_LENGTH = 300
_UNUSUAL = re.compile(r"[^\w.@+-]")


class LoginRefused(Exception):
    """The person may not log in; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def admit(claims: dict[str, Any], *, known: User | None, link: Callable[[User], object]) -> User:
    """Return the person that the claims describe, with the roles of its groups.

    One that is not ``known`` is made, and ``link`` joins it to its subject in the same transaction.

    A person whose groups lead to no role loses those it had, and is refused.
    """
    name = known.get_username() if known else _wanted_name(claims)
    roles = roles_of(claims.get(settings.SAGA_OIDC_GROUPS_CLAIM))
    with transaction.atomic():
        if known is not None:
            _set_roles(known, roles)
        elif roles:
            known = _make(name, claims, roles)
            link(known)
    if known is not None and not known.is_active:
        reason = "Your account in Saga is switched off."
    elif not roles:
        reason = (
            "None of your groups has a role in Saga. An administrator of Saga decides which groups have"
            " one (SAGA_OIDC_GROUPS), and your provider in which groups you are."
        )
    else:
        assert known is not None  # noqa: S101 - made above, since there are roles
        return known
    note_refusal(name, reason)
    raise LoginRefused(reason)


def roles_of(claim: Any) -> list[str]:
    """Return the roles to which a claim's groups lead, from the least to the most."""
    groups = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    mapped: dict[str, str] = settings.SAGA_OIDC_GROUPS
    found = {mapped[group] for group in groups if isinstance(group, str) and group in mapped}
    return [role for role in ROLES if role in found]


def note_refusal(name: str, reason: str) -> None:
    """Record a login by the provider that was refused."""
    actor = name.replace("\x00", "")[:MAX_USERNAME_LENGTH] or "anonymous"
    reason = reason.replace("\x00", "")[:MAX_REASON_LENGTH]
    with transaction.atomic():
        auditing.record("login.refused", actor=actor, data={"reason": reason}, at=timezone.now())


def _wanted_name(claims: dict[str, Any]) -> str:
    for claim in ("preferred_username", "email", "sub"):
        text = claims.get(claim)
        if isinstance(text, str) and (name := _UNUSUAL.sub("-", text)[:MAX_USERNAME_LENGTH]):
            return name
    return "person"


def _free_name(wanted: str) -> str:
    """Return the name, with a number where a person of this name exists: they are not one person."""
    name, number = wanted, 1
    while User.objects.filter(username__iexact=name).exists():
        number += 1
        name = f"{wanted[: MAX_USERNAME_LENGTH - 8]}-{number}"
    return name


def _make(name: str, claims: dict[str, Any], roles: list[str]) -> User:
    person = User(username=_free_name(name), is_staff=True)
    person.email = _text(claims.get("email"), 254)
    person.first_name = _text(claims.get("given_name"), 150)
    person.last_name = _text(claims.get("family_name"), 150)
    person.set_unusable_password()
    person.save()
    person.groups.set(Group.objects.filter(name__in=roles))
    _record("user.added", person, {"after": holders.describe(person)})
    return person


def _text(claim: Any, length: int) -> str:
    return claim.replace("\x00", "")[:length] if isinstance(claim, str) else ""


def _set_roles(person: User, roles: list[str]) -> None:
    """Give the person these of the four roles; further roles are Saga's own and stay."""
    before = holders.describe(person)
    person.groups.remove(*Group.objects.filter(name__in=set(ROLES) - set(roles)))
    person.groups.add(*Group.objects.filter(name__in=roles))
    if roles and not person.is_staff:
        person.is_staff = True
        person.save(update_fields=["is_staff"])
    if (data := holders.changes(before, holders.describe(person))) is not None:
        _record("user.changed", person, data)


def _record(action: str, person: User, data: dict[str, Any]) -> None:
    auditing.record(
        action,
        actor=person.get_username(),
        data={"what": str(person), "id": person.pk, "by": "provider", **data},
        at=timezone.now(),
    )
