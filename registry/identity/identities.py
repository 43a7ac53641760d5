"""Which names are one person; in doubt they are, since two approvals must come from two people.

A person may have a login of Saga, another one of the provider (``otto-2``, where ``otto`` was taken), JWTs of
the provider's subject, and tokens of its own. Names that differ in case only are one.
"""

from __future__ import annotations

from collections.abc import Iterable

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db.models import Q

from registry.identity import oidc

Marks = frozenset[str]


def marks_of(names: Iterable[str]) -> dict[str, Marks]:
    """Return the marks by which persons and accounts differ; those that share a mark are one person.

    Costs three queries, however many names there are.
    """
    wanted = set(names)
    found = {name: {_mark("name", name)} for name in wanted}
    subjects = {name: name.removeprefix(oidc.ACCOUNT_MARK) for name in wanted}
    logins = SocialAccount.objects.filter(
        extra_data__sub__in=[text for name, text in subjects.items() if text != name]
    )
    rows = User.objects.filter(
        Q(username__in=wanted)
        | Q(token_account__name__in=wanted)
        | Q(pk__in=logins.values_list("user", flat=True))
    ).select_related("token_account")
    people = {person.pk: person for person in rows}
    subjects_of: dict[int, list[str]] = {}
    for login in SocialAccount.objects.filter(user__in=people):
        subject = login.extra_data.get("sub")
        subjects_of.setdefault(login.user_id, []).append(str(subject or ""))
    for person in people.values():
        marks = _marks_of_person(person, subjects_of.get(person.pk))
        for name in wanted & _names_of(person, subjects_of.get(person.pk, [])):
            found[name] |= marks
    return {name: frozenset(marks) for name, marks in found.items()}


def is_among(name: str, others: Iterable[str]) -> bool:
    """Whether the person or account is one of the others, under whichever name."""
    others = set(others)
    marks = marks_of({name, *others})
    return any(not marks[name].isdisjoint(marks[other]) for other in others)


def _names_of(person: User, subjects: Iterable[str]) -> set[str]:
    account = getattr(person, "token_account", None)
    names = {person.get_username(), *(oidc.account_name(each) for each in subjects if each)}
    return names | ({account.name} if account is not None else set())


def _marks_of_person(person: User, subjects: list[str] | None) -> set[str]:
    """``subjects`` are those of its logins by the provider, None without one."""
    username = person.get_username()
    marks = {f"user {person.pk}", _mark("name", username)}
    if person.email:
        marks.add(_mark("mail", person.email))
    if subjects is not None:
        base, _, number = username.rpartition("-")
        if base and number.isdecimal():  # the name that was taken when the person came first
            marks.add(_mark("name", base))
        marks |= {_mark("name", oidc.account_name(subject)) for subject in subjects if subject}
    return marks


def _mark(kind: str, text: str) -> str:
    return f"{kind} {text.casefold()[:255]}"
