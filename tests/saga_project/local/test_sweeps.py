"""The process of the sweeps: elected by a lease, and stopped by nothing that one duty does."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django import db
from django.conf import settings
from django.test.utils import CaptureQueriesContext

from registry.background import protection, work_slots
from registry.models import WorkSlot
from saga_project.local import parents, sweeps
from saga_project.shared import errors
from tests import stack, waiting, webserver
from tests.factories import JobFactory

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def sweeping() -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryDirectory(prefix="saga-sweeps-") as folder:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "sweep"],
            cwd=stack.ROOT,
            env={
                **os.environ,
                "DATABASE_URL": webserver.database_url(),
                "REDIS_URL": settings.REDIS_URL,
                "SAGA_DATA_DIR": folder,
            },
            preexec_fn=parents.end_with_parent,  # noqa: PLW1509 (one call to the kernel)
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def holder() -> str:
    """Return the process that has the lease, as in "host/1234"; empty where none has."""
    row = WorkSlot.objects.filter(work=work_slots.SWEEPS).first()
    return row.holder if row and work_slots.held(work_slots.SWEEPS) else ""


def has(process: subprocess.Popen[bytes]) -> bool:
    return holder().endswith(f"/{process.pid}")


def test_one_process_sweeps_and_another_takes_over_when_it_dies(redis: Any) -> None:
    with sweeping() as first:
        waiting.until(lambda: has(first), seconds=60)
        waiting.until(lambda: protection.state() is not None, seconds=30)
        with sweeping() as second:
            waiting.until(lambda: redis.hexists("saga:workers", _name()), seconds=30)
            assert has(first)

            first.send_signal(
                signal.SIGSTOP
            )  # as a host without power: no goodbye, no closed connection
            redis.delete(":1:protection", "saga:1:protection")

            waiting.until(lambda: has(second), seconds=60)
            waiting.until(lambda: protection.state() is not None, seconds=30)


def _name() -> str:
    return f"sweeps@{os.uname().nodename}"


def test_sigterm_gives_the_lease_up_at_once(redis: Any) -> None:
    with sweeping() as process:
        waiting.until(lambda: has(process), seconds=60)

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
        assert not WorkSlot.objects.exists()


# --- One duty -------------------------------------------------------------------------------------


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def loop(call: Any, stopping: threading.Event, **options: Any) -> sweeps.Loop:
    periodic_call = sweeps.PeriodicCall("a duty", call, 0.01, **options)
    return sweeps.Loop(periodic_call, lambda: True, stopping)


@pytest.mark.parametrize("failure", [RuntimeError, db.OperationalError, errors.RedisUnavailable])
def test_a_duty_that_fails_is_done_again(
    stopping: threading.Event, failure: type[Exception]
) -> None:
    calls: list[int] = []
    is_well = threading.Event()

    def fail_twice() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise failure("not now")
        is_well.set()

    loop(fail_twice, stopping).thread.start()

    assert is_well.wait(30)


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    stopping: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [True, True, False, False]

    def act() -> None:
        if failures.pop(0):
            raise errors.RedisUnavailable("gone")

    subject = loop(act, stopping)
    for _ in range(4):
        subject.run_once()

    assert [record.getMessage() for record in caplog.records] == ["duty waits", "duty runs again"]


def test_a_process_that_is_not_elected_does_nothing(stopping: threading.Event) -> None:
    asked, done = threading.Event(), threading.Event()
    periodic_call = sweeps.PeriodicCall("a duty", done.set, 0.01)

    def is_allowed() -> bool:
        asked.set()
        return False

    subject = sweeps.Loop(periodic_call, is_allowed, stopping)
    subject.thread.start()
    assert asked.wait(30)
    stopping.set()
    subject.thread.join(30)

    assert not done.is_set()


def test_a_duty_that_hangs_is_known(stopping: threading.Event) -> None:
    begun = threading.Event()

    def hang() -> None:
        begun.set()
        stopping.wait(60)

    subject = loop(hang, stopping, limit_seconds=0.05)
    assert not subject.is_hung
    subject.thread.start()
    assert begun.wait(30)

    waiting.until(lambda: subject.is_hung, seconds=30)


def test_the_lease_ends_with_the_time_that_postgresql_gave(redis: Any) -> None:
    election, rival = sweeps.Election(), sweeps.Election()

    election.keep()
    rival.keep()
    assert election.is_leading
    assert not rival.is_leading

    WorkSlot.objects.update(expires_at="2000-01-01T00:00Z")
    rival.keep()
    election.leads_until = 0.0
    election.keep()
    assert rival.is_leading
    assert not election.is_leading


def test_duties_that_look_after_jobs_share_one_question(redis: Any) -> None:
    calls: list[str] = []
    jobs = sweeps.LiveJobs()
    duties = [jobs.then(lambda: calls.append("watch")), jobs.then(lambda: calls.append("sweep"))]

    with CaptureQueriesContext(db.connection) as queries:
        for duty in duties:
            duty()
    assert (calls, len(queries)) == ([], 1)

    JobFactory.create(status="queued")
    jobs = sweeps.LiveJobs()
    for call in ("watch", "sweep"):
        jobs.then(functools.partial(calls.append, call))()
    assert calls == ["watch", "sweep"]


@pytest.mark.parametrize("status", ["queued", "running", "paused", "rolling_back"])
def test_a_live_job_is_looked_after(status: str) -> None:
    JobFactory.create(status=status)

    assert sweeps.LiveJobs().are_any()


def test_a_job_that_needs_attention_is_looked_after() -> None:
    JobFactory.create(status="failed", needs_attention=True)

    assert sweeps.LiveJobs().are_any()


def test_a_job_that_is_over_is_not() -> None:
    JobFactory.create(status="succeeded")

    assert not sweeps.LiveJobs().are_any()
