"""Database triggers of updates."""

from __future__ import annotations

from saga_project.shared.database.triggers import TriggerSet

#: Refuse to change or delete history and audit trail, for every role.
APPEND_ONLY = TriggerSet(
    tables={
        "history_is_append_only": "updates_historyentry",
        "audit_is_append_only": "updates_auditentry",
    },
    create="""
CREATE FUNCTION updates_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER history_is_append_only BEFORE UPDATE OR DELETE ON updates_historyentry
    FOR EACH ROW EXECUTE FUNCTION updates_refuse_change();
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON updates_auditentry
    FOR EACH ROW EXECUTE FUNCTION updates_refuse_change();
""",
    drop="""
DROP TRIGGER audit_is_append_only ON updates_auditentry;
DROP TRIGGER history_is_append_only ON updates_historyentry;
DROP FUNCTION updates_refuse_change();
""",
)

#: Refuse to empty them as well: TRUNCATE fires no trigger of a row.
NEVER_EMPTIED = TriggerSet(
    tables={
        "history_is_never_emptied": "updates_historyentry",
        "audit_is_never_emptied": "updates_auditentry",
    },
    create="""
CREATE FUNCTION updates_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER history_is_never_emptied BEFORE TRUNCATE ON updates_historyentry
    FOR EACH STATEMENT EXECUTE FUNCTION updates_refuse_truncate();
CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON updates_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION updates_refuse_truncate();
""",
    drop="""
DROP TRIGGER audit_is_never_emptied ON updates_auditentry;
DROP TRIGGER history_is_never_emptied ON updates_historyentry;
DROP FUNCTION updates_refuse_truncate();
""",
)

#: Keep the tally of standing history entries, a statement at a time.
HISTORY_TALLY = TriggerSet(
    tables={
        "history_is_tallied": "updates_historyentry",
    },
    create="""
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
""",
    drop="""
DROP TRIGGER history_is_tallied ON updates_historyentry;
DROP FUNCTION updates_tally_history();
""",
)

#: Keep the tally of jobs by status.
JOB_TALLY = TriggerSet(
    tables={
        "job_is_tallied": "updates_job",
        "moved_job_is_tallied": "updates_job",
    },
    create="""
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
""",
    drop="""
DROP TRIGGER job_is_tallied ON updates_job;
DROP TRIGGER moved_job_is_tallied ON updates_job;
DROP FUNCTION updates_tally_jobs();
""",
)

#: Refuse that a request for several people is approved by fewer, whichever process says so: one of a release
#: before them, which knows no decisions, and any that counts one person twice. One approval is enough where
#: neither the request nor the policy asks for more.
ENOUGH_APPROVALS = TriggerSet(
    tables={
        "approval_takes_so_many_people": "updates_approval",
    },
    create="""
CREATE FUNCTION updates_check_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    required integer;
    given integer;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'approved' THEN
        RETURN NEW;
    END IF;
    SELECT greatest(NEW.required_approvals, max(required_approvals)) INTO required
    FROM updates_policy WHERE service_id = NEW.service_id;
    IF required <= 1 THEN
        RETURN NEW;
    END IF;
    SELECT count(*) INTO given FROM updates_approvaldecision AS one
    WHERE one.approval_id = NEW.id AND one.verdict = 'approved'
      AND NOT EXISTS (
        SELECT 1 FROM updates_approvaldecision AS earlier
        WHERE earlier.approval_id = NEW.id AND earlier.verdict = 'approved' AND earlier.id < one.id
          AND (earlier.decided_by = one.decided_by OR earlier.marks && one.marks))
      AND NOT EXISTS (
        SELECT 1 FROM updates_release AS release, unnest(release.authors) AS author
        WHERE release.id = NEW.release_id
          AND one.decided_by IN (author, regexp_replace(author, '^staff:', '')));
    IF given < required THEN
        RAISE EXCEPTION 'the request takes % people, and % approved it', required, given
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_takes_so_many_people BEFORE INSERT OR UPDATE OF state ON updates_approval
    FOR EACH ROW WHEN (NEW.state = 'approved') EXECUTE FUNCTION updates_check_approvals();
""",
    drop="""
DROP TRIGGER approval_takes_so_many_people ON updates_approval;
DROP FUNCTION updates_check_approvals();
""",
)
