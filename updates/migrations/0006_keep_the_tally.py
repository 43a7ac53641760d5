"""A trigger keeps the tally of standing history entries, a statement at a time."""

from __future__ import annotations

from django.db import migrations

from updates.models import triggers

FILL = """
INSERT INTO updates_historytally (service_name, status, entries, timed_entries, seconds)
SELECT service_name, status, count(*), count(duration_seconds), coalesce(sum(duration_seconds), 0)
FROM updates_historyentry AS entry
WHERE NOT EXISTS (SELECT FROM updates_historyentry AS later WHERE later.corrects_id = entry.id)
GROUP BY service_name, status;
"""
EMPTY = "DELETE FROM updates_historytally"


class Migration(migrations.Migration):
    dependencies = [("updates", "0005_tally_history")]
    operations = [
        migrations.RunSQL([triggers.HISTORY_TALLY.create, FILL], [triggers.HISTORY_TALLY.drop, EMPTY]),
    ]
