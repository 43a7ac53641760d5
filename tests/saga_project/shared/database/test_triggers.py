"""The triggers in the database are those that the models define."""

from __future__ import annotations

import pytest
from django.db import connection

from registry.models import triggers as registry_triggers
from saga_project.shared.database.triggers import TriggerSet
from updates.models import triggers as update_triggers

SETS = [
    each
    for module in (registry_triggers, update_triggers)
    for each in vars(module).values()
    if isinstance(each, TriggerSet)
]


def existing() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
        )
        return dict(cursor.fetchall())


@pytest.mark.django_db
def test_database_has_the_defined_triggers_and_no_others():
    defined = {name: table for each in SETS for name, table in each.tables.items()}

    assert existing() == defined


@pytest.mark.django_db
@pytest.mark.parametrize("triggers", SETS, ids=lambda each: next(iter(each.tables)))
def test_triggers_can_be_dropped_and_created_again(triggers):
    with connection.cursor() as cursor:
        cursor.execute(triggers.drop)
        assert not triggers.tables.keys() & existing().keys()
        cursor.execute(triggers.create)

    assert triggers.tables.items() <= existing().items()
