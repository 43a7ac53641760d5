from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission

from registry.identity import roles

pytestmark = pytest.mark.django_db


def codenames(group: str) -> set[str]:
    return set(
        Permission.objects.filter(
            group__name=group, content_type__app_label="registry"
        ).values_list("codename", flat=True)
    )


def test_gives_each_group_what_its_globs_match() -> None:
    Group.objects.all().delete()

    grant = roles.granting("registry", {"viewers": ["view_*"], "operators": ["change_service"]})
    grant(apps, None)

    assert "view_service" in codenames("viewers")
    assert not any(not name.startswith("view_") for name in codenames("viewers"))
    assert codenames("operators") == {"change_service"}
    assert codenames("administrators") == set()


def test_takes_nothing_away_from_a_group() -> None:
    group, _ = Group.objects.get_or_create(name="viewers")
    group.permissions.add(Permission.objects.get(codename="delete_service"))

    roles.granting("registry", {"viewers": ["view_*"]})(apps, None)

    assert "delete_service" in codenames("viewers")
