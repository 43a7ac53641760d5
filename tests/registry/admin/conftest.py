from __future__ import annotations

import importlib
import re
from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

Login = Callable[..., Client]


@pytest.fixture
def roles(db: None) -> None:
    """The groups as the migration makes them; a test that empties all tables takes them away."""
    migration = importlib.import_module("registry.migrations.0004_make_roles").Migration
    for operation in migration.operations:
        operation.code(apps, None)


@pytest.fixture
def login(roles: None) -> Login:
    """Return a client of a member of staff: ``login("operators")``; of a superuser without a group."""

    def log_in(group: str | None = None) -> Client:
        user, _ = User.objects.get_or_create(
            username=group or "root", defaults={"is_staff": True, "is_superuser": group is None}
        )
        if group is not None:
            user.groups.set([Group.objects.get(name=group)])
        client = Client(SERVER_NAME="localhost")
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return log_in


def offered_actions(page: str) -> set[str]:
    """Return the actions that a list offers."""
    select = re.search(r'<select name="action".*?</select>', page, re.DOTALL)
    return set(re.findall(r'<option value="(\w+)"', select[0])) if select else set()
