"""An administrator of the console manages people and roles, and grants nothing that it does not have."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.saga_project.console.conftest import Member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

FOREIGN = "add_permission"  # which no role has


@pytest.fixture
def client(member: Member) -> Client:
    return member("administrators")


def myself() -> User:
    return User.objects.get(username="one-of-administrators")


def foreign_permission() -> Permission:
    return Permission.objects.get(codename=FOREIGN)


def change(client: Client, person: User, **values: Any) -> int:
    sent = {
        "username": person.username,
        "is_active": "on",
        "is_staff": "on",
        "date_joined_0": "2026-03-02",
        "date_joined_1": "12:00:00",
        **values,
    }
    return client.post(f"/admin/auth/user/{person.pk}/change/", sent).status_code


def test_an_administrator_makes_no_superuser(client: Client) -> None:
    role = Group.objects.get(name="administrators")
    for person in (myself(), User.objects.create(username="guest")):
        sent = {"is_superuser": "on", "first_name": "Ada", "groups": [role.pk]}

        assert change(client, person, **sent) == 302

        person.refresh_from_db()
        assert (person.is_superuser, person.first_name) == (False, "Ada")


def test_an_administrator_grants_what_it_has_and_no_more(client: Client) -> None:
    guest = User.objects.create(username="guest")
    higher = Group.objects.create(name="higher")
    higher.permissions.add(foreign_permission())
    operators = Group.objects.get(name="operators")

    assert change(client, guest, groups=[higher.pk]) == 200  # the form, with the error
    assert change(client, guest, user_permissions=[foreign_permission().pk]) == 200
    assert not guest.groups.exists()
    assert not guest.user_permissions.exists()

    assert change(client, guest, groups=[operators.pk]) == 302
    assert set(guest.groups.all()) == {operators}


def test_an_administrator_adds_nothing_to_its_role_that_it_lacks(client: Client) -> None:
    role = Group.objects.get(name="administrators")
    sent = {"name": role.name, "permissions": [foreign_permission().pk]}

    assert client.post(f"/admin/auth/group/{role.pk}/change/", sent).status_code == 200
    assert not role.permissions.filter(codename=FOREIGN).exists()


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("is_superuser", [True, False])
def test_an_administrator_takes_over_no_person_that_may_more(
    client: Client, is_superuser: bool, is_active: bool
) -> None:
    root = User.objects.create(username="root", is_superuser=is_superuser, is_active=is_active)
    root.user_permissions.add(foreign_permission())
    password = {"password1": "a long pass phrase", "password2": "a long pass phrase"}
    delete = {"post": "yes", "action": "delete_selected", "_selected_action": [root.pk]}

    assert change(client, root, username="mine") == 403
    answer = client.post(
        f"/admin/auth/user/{root.pk}/password/", {**password, "usable_password": "true"}
    )
    assert answer.status_code == 403
    assert client.post(f"/admin/auth/user/{root.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post("/admin/auth/user/", delete)

    root.refresh_from_db()
    assert (root.username, root.password) == ("root", "")


def test_a_superuser_manages_all(client: Client) -> None:
    User.objects.filter(pk=myself().pk).update(is_superuser=True)
    guest = User.objects.create(username="guest")

    assert change(client, guest, is_superuser="on") == 302
    assert User.objects.get(username="guest").is_superuser
