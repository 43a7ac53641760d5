from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests import waiting
from updates.models import Target
from updates.rollouts import restarts
from updates.step_context import (
    Environment,
    Interrupted,
    Outcome,
    StepContext,
    StepFailed,
    TransientFailure,
)


def restart(kind: str, given: str, **fields: Any) -> Outcome:
    target = Target(restart=kind, restart_with=given, **fields)
    return restarts.restart(context_for(target))


def context_for(target: Target, **fields: Any) -> StepContext:
    values: dict[str, Any] = {
        "service_name": "shop",
        "kind": "deploy",
        "version": "2.0.0",
        "job_id": "deploy-shop-2.0.0-1",
        "target": target,
        "fence": 1,
        "deadline_seconds": 10,
        "root": Path(tempfile.gettempdir()),
    }
    return StepContext(**{**values, **fields})


def test_calls_a_url(httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/restart", method="POST").respond_with_data("")

    assert (
        restart("http", httpserver.url_for("/restart")).message == "The restart URL answered 200."
    )


def test_a_restart_url_that_refuses_fails_the_step(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/restart").respond_with_data("", status=409)

    with pytest.raises(StepFailed, match="answered 409"):
        restart("http", httpserver.url_for("/restart"))


def test_a_restart_url_that_is_busy_may_be_asked_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/restart").respond_with_data("", status=503)

    with pytest.raises(TransientFailure, match="answered 503"):
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
    settings: Settings, tmp_path: Path
) -> None:
    pid_file = tmp_path / "child.pid"
    hang = f"sleep 60 & echo $! > {pid_file}; echo at migration 7; wait"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", hang]}

    with pytest.raises(
        StepFailed, match=r"did not end within 3 s\. Its last output: at migration 7"
    ):
        restart("command", "shop", restart_timeout_seconds=3)

    waiting.until(lambda: not _lives(int(pid_file.read_text())))


def test_a_command_is_ended_where_its_job_must_stop(settings: Settings, tmp_path: Path) -> None:
    pid_file = tmp_path / "child.pid"
    hang = f"sleep 60 & echo $! > {pid_file}.part; mv {pid_file}.part {pid_file}; wait"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", hang]}

    def checkpoint() -> None:
        if pid_file.exists():
            raise Interrupted

    with pytest.raises(Interrupted):
        restarts.restart(
            context_for(Target(restart="command", restart_with="shop"), checkpoint=checkpoint)
        )

    waiting.until(lambda: not _lives(int(pid_file.read_text())))


SAGAS_OWN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SAGA_SECRET_KEY",
    "SAGA_ENCRYPTION_KEYS",
    "DJANGO_SETTINGS_MODULE",
    "PROMETHEUS_MULTIPROC_DIR",
    "PORT",
    "HOST",
)


def test_a_command_gets_an_environment_of_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SAGAS_OWN:
        monkeypatch.setenv(name, "saga's own")
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", "env > seen; pwd > folder"]}
    target = Target(restart="command", restart_with="shop", instance_id="shop-1")
    declared = Environment(plain={"WORKERS": "3"}, sealed={"DB_PASSWORD": "s3cret"})
    root = tmp_path / "root"

    restarts.restart(context_for(target, root=root, environment=declared, previous="1.0.0"))

    seen = dict(line.split("=", 1) for line in (root / "seen").read_text().splitlines())
    for shells_own in ("PWD", "SHLVL", "OLDPWD", "_"):
        seen.pop(shells_own, None)
    assert {seen.pop(name) for name in ("PATH", "HOME", "LANG")}
    assert seen == {
        "WORKERS": "3",
        "DB_PASSWORD": "s3cret",
        "SAGA_SERVICE": "shop",
        "SAGA_INSTANCE_ID": "shop-1",
        "SAGA_VERSION": "2.0.0",
        "SAGA_PREVIOUS_VERSION": "1.0.0",
        "SAGA_RELEASE_DIR": str(root / "releases" / "2.0.0"),
        "SAGA_INSTALL_ROOT": str(root),
        "SAGA_JOB_ID": "deploy-shop-2.0.0-1",
    }
    assert Path((root / "folder").read_text().strip()) == root


def test_a_rollback_names_the_version_that_it_starts(settings: Settings, tmp_path: Path) -> None:
    settings.SAGA_RESTART_COMMANDS = {
        "shop": ["/bin/echo", "{service} {instance} {version} after {previous_version} {other}"]
    }
    target = Target(restart="command", restart_with="shop")

    context = context_for(target, root=tmp_path, previous="1.0.0", is_rollback=True)
    outcome = restarts.restart(context)

    assert outcome.message.endswith("shop default 1.0.0 after 2.0.0 {other}")


def test_sealed_values_are_masked_in_the_journal(settings: Settings, tmp_path: Path) -> None:
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", "echo with $TOKEN; exit 1"]}
    target = Target(restart="command", restart_with="shop")
    declared = Environment(sealed={"TOKEN": "s3cret"})

    with pytest.raises(StepFailed) as failed:
        restarts.restart(context_for(target, root=tmp_path, environment=declared))

    assert "with ***" in str(failed.value)
    assert "s3cret" not in str(failed.value)


def test_output_that_postgresql_refuses_is_kept_without_it(settings: Settings) -> None:
    shout = "head -c 10000 /dev/zero | tr '\\0' x; printf 'end\\0\\377'; exit 1"
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", shout]}

    with pytest.raises(StepFailed) as failed:
        restart("command", "shop")

    assert "\0" not in str(failed.value)
    assert "xend" in str(failed.value)
    assert 4000 < len(str(failed.value)) < 4200


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
