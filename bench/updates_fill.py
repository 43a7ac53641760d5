"""A year of a thousand services, as rows: history, jobs with their steps, and a month of events."""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg

from saga_project.local import embedded
from tests import stack

SERVICES = 1000
BATCH = 100_000
#: So many of the newest jobs have their steps; more would take disk, and no page shows them.
JOBS_WITH_STEPS = 10_000

#: Evenly over a year; one in twenty failed, one in fifty rolled back, one in a hundred by hand.
HISTORY = """
INSERT INTO updates_historyentry (service_name, kind, status, old_version, new_version, running_version,
    timestamp, started_at, released_at, duration_seconds, artifact_url, checksum, artifact_path, backup_path,
    detail, recorded_by, recorded_at)
SELECT name, CASE WHEN lot % 100 = 2 THEN 'rollback' ELSE 'deploy' END,
    CASE WHEN lot % 20 = 0 THEN 'failed' WHEN lot % 50 IN (1, 2) THEN 'rolled_back' ELSE 'success' END,
    '1.' || number || '.0', '1.' || number + 1 || '.0', '1.' || number + 1 || '.0',
    moment, moment - interval '40 s', moment - interval '1 day' * (lot % 7), 30 + number % 60,
    'https://ci.example/artifacts/' || name || '-1.' || number || '.0.tar.gz',
    'sha256:' || encode(sha256(number::text::bytea), 'hex'),
    '/srv/saga/artifacts/' || number, '/srv/saga/backups/' || number, '', 'bench', now()
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
    LATERAL (SELECT abs(hashint8(number)), 'service-' || lpad((number % 1000)::text, 6, '0'),
                    now() - interval '365 days' * (1 - number::float / %(rows)s)) AS of(lot, name, moment)
"""
JOBS = """
INSERT INTO updates_job (job_id, kind, service_id, version, previous_version, strategy, strategy_options,
    artifact_url, artifact_type, checksum, artifact_sha256, request_digest, requested_by, moves, status,
    progress, error, needs_attention, is_aborted, is_promoted_fully, pause_reason, paused_seconds, fence,
    lease_owner, created_at, started_at, finished_at, acknowledged_by)
SELECT 'deploy-' || service.name || '-1.' || number || '.0-' || number, 'deploy', service.id,
    '1.' || number + 1 || '.0', '1.' || number || '.0', 'rolling', '{}',
    'https://ci.example/artifacts/' || service.name || '-1.' || number || '.0.tar.gz', 'binary', '', '', '',
    'bench', '[]', CASE WHEN lot % 20 = 0 THEN 'failed' WHEN lot % 50 = 1 THEN 'rolled_back'
                        WHEN lot % 10000 = 2 THEN 'cancelled' ELSE 'succeeded' END,
    100, '', false, false, false, '', 0, 1, '', moment - interval '1 min', moment - interval '40 s',
    moment, ''
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
JOIN (SELECT id, name, row_number() OVER (ORDER BY name) - 1 AS place FROM registry_service) AS service
    ON service.place = number % 1000,
    LATERAL (SELECT abs(hashint8(number)),
                    now() - interval '365 days' * (1 - number::float / %(rows)s)) AS of(lot, moment)
"""
STEPS = """
INSERT INTO updates_step (job_id, position, name, target_name, node, move, is_way_back, status, progress,
    message, result, runs, started_at, finished_at)
SELECT job.id, place,
    (array['fetch', 'verify', 'unpack', 'backup', 'drain', 'switch', 'restart', 'health'])[place],
    'local', 'local', 0, false, 'succeeded', 100, 'Done.', '{}', 1, job.started_at, job.finished_at
FROM (SELECT * FROM updates_job ORDER BY created_at DESC LIMIT %(jobs)s) AS job,
    generate_series(1, 8) AS place
"""
JOB_TALLY = """
INSERT INTO updates_jobtally (service_id, status, jobs)
SELECT service_id, status, count(*) FROM updates_job GROUP BY service_id, status
"""
#: Some seven hundred to a transaction, evenly over a month; one in ten thousand is of a rare type.
EVENTS = """
INSERT INTO registry_event (transaction, type, service_name, occurred_at, data)
SELECT greatest(1, pg_current_xact_id()::text::bigint * number / %(rows)s - 1),
    CASE WHEN lot % 10000 = 0 THEN 'delivery.dead'
         ELSE (array['service.registered', 'service.expired', 'service.recovered', 'health.changed',
                     'lifecycle.started', 'release.announced', 'deployment.succeeded'])[1 + lot % 7] END,
    'service-' || lpad((lot % 1000)::text, 6, '0'),
    now() - interval '30 days' * (1 - number::float / %(rows)s),
    jsonb_build_object('instance_id', 'default', 'number', number)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
    LATERAL (SELECT abs(hashint8(number))) AS of(lot)
"""


def fill(running: stack.Stack, rows: int) -> None:
    """Put ``rows`` of history, of jobs and of events into the stack's database."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "bench.fill", str(SERVICES)]
    subprocess.run(
        command, cwd=stack.ROOT, env=running.environment, check=True, capture_output=True
    )
    with psycopg.connect(database_url(running), autocommit=True) as connection:
        _insert(connection, HISTORY, rows)
        # A row at a time the triggers would take minutes; what they keep is written in one go.
        connection.execute("ALTER TABLE updates_job DISABLE TRIGGER USER")
        _insert(connection, JOBS, rows)
        connection.execute(JOB_TALLY)
        connection.execute("ALTER TABLE updates_job ENABLE TRIGGER USER")
        connection.execute(STEPS, {"jobs": JOBS_WITH_STEPS})
        _insert(connection, EVENTS, rows)
        for table in ("updates_historyentry", "updates_job", "updates_step", "registry_event"):
            connection.execute(f"VACUUM ANALYZE {table}")
    print(
        f"{rows:,} rows each of history, jobs and events in {time.perf_counter() - started:.0f} s\n"
    )


def database_url(running: stack.Stack) -> str:
    return embedded.database_url(running.folder / "var")


def _insert(connection: psycopg.Connection, statement: str, rows: int) -> None:
    for first in range(1, rows + 1, BATCH):
        last = min(first + BATCH - 1, rows)
        connection.execute(
            statement.replace(" % ", " %% "), {"first": first, "last": last, "rows": rows}
        )
