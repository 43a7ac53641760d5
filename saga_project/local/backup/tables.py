"""Tables as COPY writes them: plain text that any later PostgreSQL reads, without pg_dump's version rules."""

from __future__ import annotations

from typing import IO

from django.db import connection
from psycopg import sql

#: Migrations are run by Django, not restored.
_NOT_COPIED = ("django_migrations",)
CHUNK = 1024 * 1024


def begin_snapshot() -> None:
    """Make the open transaction see one state of the database, for as long as it takes."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    lift_timeouts()


def lift_timeouts() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL lock_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


def columns_by_table() -> dict[str, list[str]]:
    """Return every table of Saga's with the columns that are stored, not computed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, array_agg(c.column_name::text ORDER BY c.ordinal_position)"
            " FROM information_schema.columns c JOIN information_schema.tables t"
            " USING (table_schema, table_name)"
            " WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
            " AND c.is_generated = 'NEVER' AND c.table_name <> ALL(%s)"
            " GROUP BY c.table_name ORDER BY c.table_name",
            [list(_NOT_COPIED)],
        )
        return dict(cursor.fetchall())


def dump(table: str, columns: list[str], file: IO[bytes]) -> int:
    """Write the rows of a table to a file; return how many there are."""
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(_name(table), _names(columns))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for data in copy:
                file.write(data)
        return int(cursor.rowcount)


def empty(names: list[str]) -> None:
    """Delete every row of these tables."""
    _run(sql.SQL("TRUNCATE {}").format(_names(names)))


def load(table: str, columns: list[str], file: IO[bytes]) -> int:
    """Add the rows in a file to a table; return how many there were."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table), _names(columns))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            while data := file.read(CHUNK):
                copy.write(data)
        return int(cursor.rowcount)


def set_triggers(names: list[str], *, are_on: bool) -> None:
    """Switch Saga's own triggers: rows that are restored are neither counted nor refused again."""
    what = sql.SQL("ENABLE" if are_on else "DISABLE")
    _run(sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"))
    for name in names:
        _run(sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(_name(name), what))
    _run(sql.SQL("SET CONSTRAINTS ALL DEFERRED"))


def advance_sequences(columns: dict[str, list[str]]) -> None:
    """Set every sequence to the largest number in its column."""
    with connection.cursor() as cursor:
        for table, names in columns.items():
            for name in names:
                cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [f'"{table}"', name])
                [sequence] = cursor.fetchone()
                if sequence is not None:
                    statement = sql.SQL(
                        "SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}"
                    )
                    cursor.execute(statement.format(_name(name), _name(table)), [sequence])


def _run(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _name(text: str) -> sql.Identifier:
    return sql.Identifier(text)


def _names(texts: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(_name, texts))
