"""Checkers that are stopped and killed: others take over, and silence is no verdict."""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer

from registry import operations
from registry.models import CheckedInstance, Checker, HealthCheck, Service
from saga_project.local import parents
from tests import waiting, webserver
from tests.stack import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@contextlib.contextmanager
def checking() -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryDirectory(prefix="saga-checks-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "saga_project", "check_services"],
            cwd=ROOT,
            env={
                **webserver.environment(),
                "SAGA_DATA_DIR": folder,
                "SAGA_ALLOWED_NETWORKS": "127.0.0.0/8",
            },
            preexec_fn=parents.end_with_parent,  # noqa: PLW1509 (one call to the kernel)
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def lose_lease(process: subprocess.Popen[bytes]) -> None:
    """Have its lease expire now, and not after fifteen seconds."""
    past = timezone.now() - dt.timedelta(seconds=1)
    assert Checker.objects.filter(holder__endswith=f"/{process.pid}").update(expires_at=past)


def wait_for(verdict: str) -> None:
    waiting.until(
        lambda: CheckedInstance.objects.filter(verdict=verdict).exists(),
        seconds=90,
        pause_seconds=0.1,
    )


def test_a_checker_that_is_stopped_or_killed_leaves_its_checks_and_no_verdict_of_its_own(
    httpserver: HTTPServer,
) -> None:
    url = httpserver.url_for("/up")
    registration = operations.Registration(
        service_name="pay", url=url, health_check_url=url, ttl_seconds=3600
    )
    operations.register(registration, by=None, now=timezone.now())
    check = HealthCheck.objects.create(
        service=Service.objects.get(),
        interval_seconds=1,
        timeout_seconds=20,
        failures_before_critical=2,
        successes_before_passing=1,
    )

    def answer(status: int) -> None:
        httpserver.clear()
        httpserver.expect_request("/up").respond_with_data("", status)

    answer(200)
    with checking() as first:
        wait_for("passing")
        first.send_signal(signal.SIGSTOP)
        lose_lease(first)
        answer(503)
        with checking() as second:
            wait_for("critical")
            answer(200)
            wait_for("passing")
            first.send_signal(signal.SIGCONT)  # with answers of before in its mind
            answer(503)
            wait_for("critical")
            second.kill()
            second.wait()
            lose_lease(second)
            answer(200)
            wait_for("passing")

    moves = check.transitions.order_by("pk").values_list("old", "new")
    assert list(moves) == [
        ("unknown", "passing"),
        *[("passing", "critical"), ("critical", "passing")] * 2,
    ]
