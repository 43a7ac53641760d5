"""Triggers keep the tally of jobs: one that comes, goes, or moves from one status to another."""

from __future__ import annotations

from django.db import migrations

KEEP = """
CREATE FUNCTION updates_tally_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changes updates_jobtally[] := '{}';
BEGIN
    IF TG_OP <> 'INSERT' THEN
        changes := changes || row(0, OLD.service_id, OLD.status, -1)::updates_jobtally;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        changes := changes || row(0, NEW.service_id, NEW.status, 1)::updates_jobtally;
    END IF;
    INSERT INTO updates_jobtally AS tally (service_id, status, jobs)
    SELECT service_id, status, jobs FROM unnest(changes)
    -- One order for everybody, so that no two writers wait for each other.
    ORDER BY service_id, status
    ON CONFLICT (service_id, status) DO UPDATE SET jobs = tally.jobs + excluded.jobs;
    RETURN NULL;
END $$;
CREATE TRIGGER job_is_tallied AFTER INSERT OR DELETE ON updates_job
    FOR EACH ROW EXECUTE FUNCTION updates_tally_jobs();
CREATE TRIGGER moved_job_is_tallied AFTER UPDATE ON updates_job
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION updates_tally_jobs();
INSERT INTO updates_jobtally (service_id, status, jobs)
SELECT service_id, status, count(*) FROM updates_job GROUP BY service_id, status;
"""
LEAVE = """
DROP TRIGGER job_is_tallied ON updates_job;
DROP TRIGGER moved_job_is_tallied ON updates_job;
DROP FUNCTION updates_tally_jobs();
DELETE FROM updates_jobtally;
"""


class Migration(migrations.Migration):
    dependencies = [("updates", "0011_tally_jobs")]
    operations = [migrations.RunSQL(KEEP, LEAVE)]
