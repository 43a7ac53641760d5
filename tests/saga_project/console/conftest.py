from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

Member = Callable[[str], Client]


@pytest.fixture
def member(db: None) -> Member:
    """Return a logged-in user of a role."""

    def member(role: str) -> Client:
        person, is_new = User.objects.get_or_create(username=f"one-of-{role}", is_staff=True)
        if is_new:
            person.groups.add(Group.objects.get(name=role))
        client = Client(SERVER_NAME="localhost")
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return member
