"""What PostgreSQL can do with the indexes of a table, whatever its planner prefers on small ones."""

from __future__ import annotations

from django.db import connection


def forbid_scans_and_sorts() -> None:
    """Make the planner use an index that fits, until the test's transaction ends.

    Without one it falls back to a sequential scan or a sort, which the plan then shows.
    """
    with connection.cursor() as cursor:
        for method in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{method} = off")


def columns_of(index: str) -> list[str]:
    """Return the columns that an index holds, its keys first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT attname FROM pg_index
            CROSS JOIN LATERAL unnest(indkey) WITH ORDINALITY AS held (attnum, position)
            JOIN pg_attribute ON attrelid = indrelid AND pg_attribute.attnum = held.attnum
            WHERE indexrelid = %s::regclass
            ORDER BY position
            """,
            [index],
        )
        return [name for (name,) in cursor.fetchall()]
