"""A trigger keeps the tally of standing history entries, a statement at a time."""

from __future__ import annotations

from django.db import migrations

KEEP = """
CREATE FUNCTION updates_tally_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO updates_historytally AS tally (service_name, status, entries, timed_entries, seconds)
    SELECT service_name, status, sum(entries), sum(timed_entries), sum(seconds) FROM (
        SELECT service_name, status, 1 AS entries, (duration_seconds IS NOT NULL)::int AS timed_entries,
               coalesce(duration_seconds, 0) AS seconds
        FROM added
        UNION ALL
        SELECT wrong.service_name, wrong.status, -1, -(wrong.duration_seconds IS NOT NULL)::int,
               -coalesce(wrong.duration_seconds, 0)
        FROM added JOIN updates_historyentry AS wrong ON wrong.id = added.corrects_id
    ) AS changes
    GROUP BY service_name, status
    -- One order for everybody, so that no two writers wait for each other.
    ORDER BY service_name, status
    ON CONFLICT (service_name, status) DO UPDATE SET
        entries = tally.entries + excluded.entries,
        timed_entries = tally.timed_entries + excluded.timed_entries,
        seconds = tally.seconds + excluded.seconds;
    RETURN NULL;
END $$;
CREATE TRIGGER history_is_tallied AFTER INSERT ON updates_historyentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION updates_tally_history();
INSERT INTO updates_historytally (service_name, status, entries, timed_entries, seconds)
SELECT service_name, status, count(*), count(duration_seconds), coalesce(sum(duration_seconds), 0)
FROM updates_historyentry AS entry
WHERE NOT EXISTS (SELECT FROM updates_historyentry AS later WHERE later.corrects_id = entry.id)
GROUP BY service_name, status;
"""
LEAVE = """
DROP TRIGGER history_is_tallied ON updates_historyentry;
DROP FUNCTION updates_tally_history();
DELETE FROM updates_historytally;
"""


class Migration(migrations.Migration):
    dependencies = [("updates", "0005_tally_history")]
    operations = [migrations.RunSQL(KEEP, LEAVE)]
