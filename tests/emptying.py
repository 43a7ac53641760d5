"""Empties the database after a test that commits, and leaves what the migrations put there.

Django's own way truncates every table, content types and permissions too, and then makes those anew: half a
second for each such test, and the roles are gone for all tests after it.
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
TRUNCATE = """
DO $$
DECLARE
    name text;
    is_filled boolean;
    filled text[] := '{}';
BEGIN
    FOR name IN
        SELECT quote_ident(tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ({KEPT})
    LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO is_filled;
        IF is_filled THEN
            filled := filled || name;
        END IF;
    END LOOP;
    IF filled <> '{}' THEN
        ALTER TABLE updates_historyentry DISABLE TRIGGER history_is_never_emptied;
        ALTER TABLE updates_auditentry DISABLE TRIGGER audit_is_never_emptied;
        EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' CASCADE';
        ALTER TABLE updates_historyentry ENABLE TRIGGER history_is_never_emptied;
        ALTER TABLE updates_auditentry ENABLE TRIGGER audit_is_never_emptied;
    END IF;
END $$
""".replace("{KEPT}", ", ".join(f"'{name}'" for name in KEPT))


def empty_filled_tables(_test_case: object) -> None:
    """Stand in for ``TransactionTestCase._fixture_teardown``."""
    with connection.cursor() as cursor:
        cursor.execute(TRUNCATE)
