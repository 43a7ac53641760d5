from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

Login = Callable[..., Client]


@pytest.fixture
def login(db: None) -> Login:
    """Return a client of a member of staff: ``login("operators")``; of a superuser without a group.

    The groups are made anew, since a test that empties all tables takes them away.
    """
    migration = importlib.import_module("updates.migrations.0009_make_roles").Migration
    for operation in migration.operations:
        operation.code(apps, None)

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
