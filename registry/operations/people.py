"""What administrators do for people beside editing them."""

from __future__ import annotations

import datetime as dt

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractUser, Group, Permission, User
from django.db import transaction
from django.db.models import Q, QuerySet

from registry import errors
from registry.identity import roles
from registry.identity.accounts import STAFF, Caller
from registry.operations.configured import actor_of
from saga_project.shared import auditing


def permissions_of(holder: AbstractUser | Group) -> QuerySet[Permission]:
    """Return what a person or a role is granted; an inactive person's count, since it may come back."""
    if isinstance(holder, Group):
        return holder.permissions.all()
    return Permission.objects.filter(Q(user=holder.pk) | Q(group__user=holder.pk)).distinct()


def may_manage(person: AbstractUser, holder: AbstractUser | Group | None) -> bool:
    """Return whether ``person`` has every permission of the person or role that it would manage."""
    if person.is_superuser or holder is None:
        return True
    if isinstance(holder, AbstractUser) and holder.is_superuser:
        return False
    return _is_covered(holder, permissions_of(person))


def _is_covered(holder: AbstractUser | Group, granted: QuerySet[Permission]) -> bool:
    return not permissions_of(holder).exclude(pk__in=granted).exists()


def _username_of(by: Caller) -> str:
    """Return the username of the person that calls, by token or in the console; empty for a program."""
    if by.person or not by.account.name.startswith(STAFF):
        return by.person
    return by.account.name.removeprefix(STAFF)


def _may_call_for(by: Caller | None, person: User) -> bool:
    """Return whether the caller may manage the person; a program counts as an administrator at most."""
    if by is None:
        return False
    if name := _username_of(by):
        caller = User.objects.filter(username=name).first()
        if caller is None or not caller.has_perm("auth.change_user"):
            return False
        return may_manage(caller, person)
    if by.is_super:
        return True
    highest = Permission.objects.filter(group__name=roles.ADMINISTRATORS)
    return by.is_admin and not person.is_superuser and _is_covered(person, highest)


def reset_second_factor(person: User, *, by: Caller | None, now: dt.datetime) -> int:
    """Remove a person's second factors and recovery codes; return how many there were.

    The person logs in without one from then on, and sets one up anew where its role must have one.
    A person does so for no other that may do more than it, and not for itself, since the console would
    ask for the factor first: raises PersonProtected.
    """
    if by is not None and person.get_username() == _username_of(by):
        raise errors.PersonProtected(
            "Remove your own factor on the page Second factor, which asks for it first."
        )
    if not _may_call_for(by, person):
        raise errors.PersonProtected("This person may do more than you.")
    with transaction.atomic():
        rows = Authenticator.objects.filter(user=person)
        kinds = sorted(rows.values_list("type", flat=True))
        rows.delete()
        if kinds:
            data = {"what": person.get_username(), "id": person.pk, "factors": kinds}
            auditing.record("factor.reset", actor=actor_of(by), data=data, at=now)
    return len(kinds)


def check_approver(caller: Caller | None) -> None:
    """Raise ScopeMissing for a person's token without the role that the console asks for."""
    if caller is not None and caller.person and not caller.has_scope("approvals:decide"):
        raise errors.ScopeMissing("Approvers and administrators do this, as in the console.")
