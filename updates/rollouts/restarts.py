"""Have a service start what is current; what to call stands in the target or the settings only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from django.conf import settings

from saga_project.shared import errors, http_client
from updates.models import Target
from updates.step_context import Outcome, StepFailed, Work

TIMEOUT_SECONDS = 60.0
MAX_WORDS = 500
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
        answer = http_client.request(
            "POST", url, purpose="restart", timeout_seconds=TIMEOUT_SECONDS
        )
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
    """Run it in a session of its own: what it starts must outlive us, and us alone.

    Its words go to a file, since a service that keeps a pipe of ours open would look like a command that
    does not end.
    """
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            raise StepFailed(f"{command[0]} could not be started: {exc.strerror}.") from exc
        status = _wait(process, command[0])
        if status:
            raise StepFailed(f"{command[0]} ended with status {status}: {_last_of(words)}")


def _wait(process: subprocess.Popen[bytes], name: str) -> int:
    try:
        return process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise StepFailed(f"{name} did not end within {TIMEOUT_SECONDS:.0f} s.") from None


def _last_of(words: IO[bytes]) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - MAX_WORDS))
    return words.read().decode(errors="replace").strip()
