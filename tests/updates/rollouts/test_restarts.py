from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests import waiting
from updates.models import Target
from updates.rollouts import restarts
from updates.step_context import Outcome, StepFailed, Work


def restart(kind: str, given: str, **fields: str) -> Outcome:
    target = Target(restart=kind, restart_with=given, **fields)
    return restarts.restart(
        Work(
            service_name="shop",
            kind="deploy",
            version="2.0.0",
            job_id="deploy-shop-2.0.0-1",
            target=target,
            fence=1,
            deadline_seconds=10,
        )
    )


def test_calls_a_url(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/restart", method="POST").respond_with_data("")

    assert (
        restart("http", httpserver.url_for("/restart")).message == "The restart URL answered 200."
    )


def test_a_restart_url_that_refuses_fails_the_step(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/restart").respond_with_data("", status=409)

    with pytest.raises(StepFailed, match="answered 409"):
        restart("http", httpserver.url_for("/restart"))


def test_a_restart_url_may_not_lead_to_a_metadata_address() -> None:
    with pytest.raises(StepFailed, match="never called"):
        restart("http", "http://169.254.169.254/restart")


def test_signals_the_process_of_a_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "shop.pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        pid_file.write_text(f"{process.pid}\n")

        restart("signal", str(pid_file), restart_signal="SIGTERM")

        assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("content", ["", "abc", "0", "1", "-1", "-5"])
def test_refuses_pid_files_that_name_no_service(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "shop.pid"
    pid_file.write_text(content)

    with pytest.raises(StepFailed, match="pid file"):
        restart("signal", str(pid_file), restart_signal="SIGHUP")


def test_refuses_signals_that_no_restart_needs(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="SIGKILL"):
        restart("signal", str(tmp_path / "x"), restart_signal="SIGKILL")


@pytest.mark.parametrize("unit", ["-H evil", "a b", "--now", "", "x;y", "../x"])
def test_refuses_what_is_no_name_of_a_unit(unit: str) -> None:
    with pytest.raises(StepFailed, match="not the name of a systemd unit"):
        restart("systemd", unit)


def test_runs_only_commands_that_the_settings_name(settings: Settings, tmp_path: Path) -> None:
    mark = tmp_path / "restarted"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", f"touch {mark}"]}

    restart("command", "shop")

    assert mark.exists()
    with pytest.raises(StepFailed, match="no command named '/bin/sh'"):
        restart("command", "/bin/sh")


def test_a_command_that_fails_says_what_it_said(settings: Settings) -> None:
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", "echo no luck >&2; exit 3"]}

    with pytest.raises(StepFailed, match="status 3: no luck"):
        restart("command", "shop")


def test_what_a_command_starts_is_not_ours_to_end(settings: Settings, tmp_path: Path) -> None:
    """A service that its restart command leaves in the background must survive the end of the worker."""
    pid_file = tmp_path / "shop.pid"
    start = f"sleep 60 & echo $! > {pid_file}"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", start]}

    restart("command", "shop")

    pid = int(pid_file.read_text())
    try:
        assert os.getpgid(pid) != os.getpgrp()
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "TIMEOUT_SECONDS", 3.0)
    pid_file = tmp_path / "child.pid"
    hang = f"sleep 60 & echo $! > {pid_file}; wait"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", hang]}

    with pytest.raises(StepFailed, match="did not end within"):
        restart("command", "shop")

    waiting.until(lambda: not _lives(int(pid_file.read_text())))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
