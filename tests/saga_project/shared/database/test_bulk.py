"""Rows in one statement, as PostgreSQL takes them out of one document."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from registry.models import Event, Service
from saga_project.shared.database import bulk

pytestmark = pytest.mark.django_db

AT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


def service(name: str, **given: Any) -> Service:
    return Service(name=name, registered_at=AT, updated_at=AT, **given)


def test_every_value_arrives_as_the_orm_would_have_written_it() -> None:
    row = service(
        "payment",
        capabilities=["rest", "Ü€🦊", 'quote " and \\ and \n'],
        metadata={"big": 2**70, "deep": [None, 1.5, {"a": True}]},
        last_heartbeat_at=None,
        revision=2**40,
    )

    ((key,),) = bulk.insert([row], returning=["id"])

    found = Service.objects.get(pk=key)
    ours = {field.attname: getattr(row, field.attname) for field in Service._meta.concrete_fields}
    theirs = {name: getattr(found, name) for name in ours}
    assert theirs == ours | {"id": key}


def test_what_is_there_already_stays_as_it_is_and_is_not_returned() -> None:
    bulk.insert([service("b", version="1")], returning=["id"])

    inserted = bulk.insert(
        [service(name, version="2") for name in ("a", "b", "c")], returning=["name"]
    )

    assert inserted == [("a",), ("c",)]
    assert Service.objects.get(name="b").version == "1"


def test_the_database_fills_what_it_has_defaults_for() -> None:
    rows = [Event(type=kind, occurred_at=AT, data={}) for kind in ("one", "two")]

    inserted = bulk.insert(rows, returning=["id", "transaction"])

    stored = Event.objects.order_by("pk").values_list("type", "pk", "transaction")
    assert list(stored) == [("one", *inserted[0]), ("two", *inserted[1])]
    assert inserted[0][1] > 0


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert bulk.insert([], returning=["id"]) == []
