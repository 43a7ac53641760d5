"""What administrators do for people beside editing them."""

from __future__ import annotations

import datetime as dt

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.db import transaction

from registry import errors
from registry.identity.accounts import STAFF, Caller
from registry.operations.configured import actor_of
from saga_project.shared import auditing


def reset_second_factor(person: User, *, by: Caller | None, now: dt.datetime) -> int:
    """Remove a person's second factors and recovery codes; return how many there were.

    The person logs in without one from then on, and sets one up anew where its role must have one.
    Only a superuser does so for a superuser, and a person does not for itself, since the console would
    ask for the factor first: raises PersonProtected.
    """
    if by is not None and person.get_username() in (by.person, by.account.name.removeprefix(STAFF)):
        raise errors.PersonProtected(
            "Remove your own factor on the page Second factor, which asks for it first."
        )
    if person.is_superuser and not (by is not None and by.is_super):
        raise errors.PersonProtected("Only a superuser resets the second factor of a superuser.")
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
