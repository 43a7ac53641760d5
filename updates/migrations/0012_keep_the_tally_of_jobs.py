"""Triggers keep the tally of jobs: one that comes, goes, or moves from one status to another."""

from __future__ import annotations

from django.db import migrations

from updates.models import triggers

FILL = """
INSERT INTO updates_jobtally (service_id, status, jobs)
SELECT service_id, status, count(*) FROM updates_job GROUP BY service_id, status;
"""
EMPTY = "DELETE FROM updates_jobtally"


class Migration(migrations.Migration):
    dependencies = [("updates", "0011_tally_jobs")]
    operations = [
        migrations.RunSQL([triggers.JOB_TALLY.create, FILL], [triggers.JOB_TALLY.drop, EMPTY]),
    ]
