"""Have a service start what is current; what to call stands in the target or the settings only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from saga_project import errors, fetch
from updates.models import Target
from updates.work import Outcome, StepFailed, Work

TIMEOUT_SECONDS = 60.0
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._:-]{0,250}", re.ASCII)
_SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGQUIT")


def restart(work: Work) -> Outcome:
    target = work.target
    if target.restart == Target.Restart.HTTP:
        return _call(target.restart_with)
    if target.restart == Target.Restart.SYSTEMD:
        return _restart_unit(target.restart_with)
    if target.restart == Target.Restart.SIGNAL:
        return _send_signal(Path(target.restart_with), target.restart_signal)
    if target.restart == Target.Restart.COMMAND:
        return _run_named_command(target.restart_with)
    return Outcome(message="Nothing to restart.", is_skipped=True)


def _call(url: str) -> Outcome:
    try:
        answer = fetch.request("POST", url, purpose="restart", timeout_seconds=TIMEOUT_SECONDS)
    except errors.SagaError as exc:
        raise StepFailed(f"The restart could not be asked for: {exc.message}") from exc
    if not 200 <= answer.status < 300:
        raise StepFailed(f"The restart URL answered {answer.status}.")
    return Outcome(message=f"The restart URL answered {answer.status}.")


def _restart_unit(unit: str) -> Outcome:
    if not _UNIT.fullmatch(unit):
        raise StepFailed(f"{unit!r} is not the name of a systemd unit.")
    _run(["systemctl", "restart", "--", unit])
    return Outcome(message=f"systemd restarted {unit}.")


def _send_signal(pid_file: Path, name: str) -> Outcome:
    if name not in _SIGNALS:
        raise StepFailed(f"{name!r} is not one of {', '.join(_SIGNALS)}.")
    try:
        pid = int(pid_file.read_text().strip())
    except (OSError, ValueError) as exc:
        raise StepFailed(f"The pid file {pid_file} cannot be read.") from exc
    if pid <= 1:
        raise StepFailed(f"The pid file {pid_file} names process {pid}.")
    try:
        os.kill(pid, signal.Signals[name])
    except OSError as exc:
        raise StepFailed(f"Process {pid} could not be signalled: {exc.strerror}.") from exc
    return Outcome(message=f"Sent {name} to process {pid}.")


def _run_named_command(name: str) -> Outcome:
    command = settings.SAGA_RESTART_COMMANDS.get(name)
    if not command:
        raise StepFailed(f"SAGA_RESTART_COMMANDS has no command named {name!r}.")
    _run(command)
    return Outcome(message=f"The command {name} ended well.")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise StepFailed(f"{command[0]} did not end within {TIMEOUT_SECONDS:.0f} s.") from exc
    except OSError as exc:
        raise StepFailed(f"{command[0]} could not be started: {exc.strerror}.") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise StepFailed(f"{command[0]} ended with status {done.returncode}: {said}")
