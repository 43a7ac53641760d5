"""Many rows in one statement with one parameter, where ``bulk_create`` would cost more than all else.

Django adapts each value of each row for the driver, thirty for a service; here PostgreSQL takes them out of
one JSON document, into the columns' own types.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection, models
from django.db.models import NOT_PROVIDED


def insert(rows: Sequence[models.Model], *, returning: Sequence[str]) -> list[tuple[Any, ...]]:
    """Insert those rows that violate no unique constraint; return the given columns of each, in order.

    Keys and columns with a default in the database are PostgreSQL's to fill; the objects stay as they are.
    """
    if not rows:
        return []
    model = type(rows[0])
    names = _attributes(model)
    documents = [{name: getattr(row, name) for name in names} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_statement(model, tuple(returning)), [_encode(documents)])
        return list(cursor.fetchall())


def _encode(documents: list[dict[str, Any]]) -> str:
    try:
        return orjson.dumps(documents, default=str).decode()
    except TypeError:  # a number of more than 64 bits, which an event's data may hold
        return json.dumps(documents, default=str)


@functools.cache
def _attributes(model: type[models.Model]) -> tuple[str, ...]:
    """Return the names of the columns to fill; each is the attribute's name as well."""
    fields = model._meta.concrete_fields
    return tuple(
        field.attname
        for field in fields
        if not field.primary_key and field.db_default is NOT_PROVIDED
    )


@functools.cache
def _statement(model: type[models.Model], returning: tuple[str, ...]) -> str:
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    columns = ", ".join(map(quote, _attributes(model)))
    # The names are the models' own.
    return (
        f"INSERT INTO {table} ({columns}) "  # noqa: S608
        f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json) "
        f"ON CONFLICT DO NOTHING RETURNING {', '.join(map(quote, returning))}"
    )
