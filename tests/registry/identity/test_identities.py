"""Names that are one person share a mark."""

from __future__ import annotations

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from registry.identity import identities, oidc

pytestmark = pytest.mark.django_db

LONG = "s" * 300


def provided(username: str, subject: object) -> User:
    person = User.objects.create_user(username)
    data = {"iss": "https://id", "sub": subject}
    SocialAccount.objects.create(user=person, provider="oidc", uid=username, extra_data=data)
    return person


def test_names_without_anything_in_common_are_several_people() -> None:
    User.objects.create_user("ada", email="")
    User.objects.create_user("bob", email="")
    provided("ada-x", "1")
    provided("eve", None)
    User.objects.create_user("bob-2")

    for name in ("bob", "ada-x", "eve", "bob-2", "ci", "oidc:2", "oidc:", "oidc:None"):
        assert not identities.is_among("ada", {name})
        assert not identities.is_among("bob", {name} - {"bob"})


def test_the_number_after_a_name_that_was_taken_makes_no_other_person() -> None:
    User.objects.create_user("otto")
    provided("otto-2", "1")

    assert identities.is_among("otto", {"otto-2"})
    assert identities.is_among("oidc:1", {"ada", "OTTO"})


def test_a_subject_is_the_person_that_logs_in_with_it_however_long_it_is() -> None:
    User.objects.create_user("ada")
    provided("ada-2", LONG)
    provided("eve", "1")

    assert identities.is_among("ada-2", {oidc.account_name(LONG)})
    assert identities.is_among("oidc:1", {"eve"})
    assert not identities.is_among("oidc:1", {"ada", "ada-2"})


def test_a_provider_that_names_no_subject_makes_no_two_people_one() -> None:
    provided("ada", "")
    provided("eve", "")

    assert not identities.is_among("ada", {"eve"})


def test_many_names_cost_as_many_queries_as_one(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    names = [provided(f"p{n}", str(n)).get_username() for n in range(20)]

    with django_assert_max_num_queries(3):
        identities.marks_of([*names, "oidc:3", "unknown", ""])
