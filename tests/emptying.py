"""Empties the database after a test that commits, and leaves what the migrations put there.

Django's own way truncates every table, content types and permissions too, and then makes those anew: half a
second for each such test, and the roles are gone for all tests after it. Truncating a table to which many
others refer takes a tenth of a second, since all of those get new files: a few rows are deleted instead.
"""

from __future__ import annotations

from django.db import connection

KEPT = [
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
    "django_migrations",
]
#: Their triggers refuse to delete, or count what is deleted.
GUARDED = ["updates_approval", "updates_auditentry", "updates_historyentry", "updates_job"]
#: A larger table is truncated; so is one in which rows that were deleted take that much.
MAX_DELETED_BYTES = 256 * 1024
EMPTY = """
DO $$
DECLARE
    name text;
    is_filled boolean;
    are_small boolean := true;
    filled text[] := '{}';
BEGIN
    -- Once more under the locks: what a transaction that held one has written is there by then.
    FOR round IN 1..2 LOOP
        FOR name IN
            SELECT quote_ident(tablename) FROM pg_tables
            WHERE schemaname = 'public' AND tablename NOT IN ({KEPT})
                AND quote_ident(tablename) <> ALL (filled)
        LOOP
            EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO is_filled;
            IF is_filled THEN
                EXECUTE 'LOCK TABLE ' || name || ' IN ACCESS EXCLUSIVE MODE';
                filled := filled || name;
                are_small := are_small AND pg_relation_size(name::regclass) <= {MAX};
            END IF;
        END LOOP;
        EXIT WHEN filled = '{}';
    END LOOP;
    FOREACH name IN ARRAY ARRAY[{GUARDED}] LOOP
        IF NOT are_small OR name = ANY (filled) THEN
            EXECUTE 'ALTER TABLE ' || name || ' DISABLE TRIGGER USER';
        END IF;
    END LOOP;
    IF are_small THEN
        FOREACH name IN ARRAY filled LOOP
            EXECUTE 'DELETE FROM ' || name;
        END LOOP;
        SET CONSTRAINTS ALL IMMEDIATE;
    ELSE
        EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' CASCADE';
    END IF;
    FOREACH name IN ARRAY ARRAY[{GUARDED}] LOOP
        IF NOT are_small OR name = ANY (filled) THEN
            EXECUTE 'ALTER TABLE ' || name || ' ENABLE TRIGGER USER';
        END IF;
    END LOOP;
END $$
"""


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


STATEMENT = (
    EMPTY.replace("{KEPT}", _listed(KEPT))
    .replace("{GUARDED}", _listed(GUARDED))
    .replace("{MAX}", str(MAX_DELETED_BYTES))
)


def empty_filled_tables(_test_case: object) -> None:
    """Stand in for ``TransactionTestCase._fixture_teardown``."""
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT)
