"""Have a service start what is current; what to call stands in the target or the settings only."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from saga_project.shared import errors, http_client
from updates.artifacts.installers import commands, container, hooks, systemd
from updates.models import Target
from updates.step_context import Outcome, StepContext, StepFailed, TransientFailure

_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._:-]{0,250}", re.ASCII)
_SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGQUIT")


_STOPPED_BY_INSTALLER: Mapping[str, Callable[[StepContext], Outcome]] = {
    Target.Installer.CONTAINER: container.stop,
    Target.Installer.SYSTEMD: systemd.stop,
}


def restart(context: StepContext) -> Outcome:
    target = context.target
    if target.restart == Target.Restart.HTTP:
        return _call(context)
    if target.restart == Target.Restart.SYSTEMD:
        return _restart_unit(context)
    if target.restart == Target.Restart.SIGNAL:
        return _send_signal(Path(target.restart_with), target.restart_signal)
    if target.restart == Target.Restart.COMMAND:
        return _run_named_command(context)
    return Outcome(message="Nothing to restart.", is_skipped=True)


def stop(context: StepContext) -> Outcome:
    """End what a first deployment started, or what runs on a target that goes."""
    target = context.target
    if hooks.has(target, hooks.Hook.STOP):
        return hooks.run(context, hooks.Hook.STOP)
    if target.restart == Target.Restart.SYSTEMD:
        unit = _unit_of(context)
        commands.run(
            context, ["systemctl", "stop", "--", unit], timeout_seconds=_timeout_seconds(context)
        )
        return Outcome(message=f"systemd stopped {unit}.")
    if target.installer in _STOPPED_BY_INSTALLER:
        return _STOPPED_BY_INSTALLER[target.installer](context)
    return Outcome(
        message=f"{context.version} may still run on {target.name}: the target has no stop hook.",
        result={"may_still_run": True},
    )


def is_left_running(target: Target) -> bool:
    """Whether neither a restart step nor the installer ends what a first deployment started there."""
    if target.restart != Target.Restart.NONE or target.installer in _STOPPED_BY_INSTALLER:
        return False
    return target.installer != Target.Installer.DIRECTORY or hooks.has(target, hooks.Hook.STOP)


def _call(context: StepContext) -> Outcome:
    url = commands.fill(context.target.restart_with, context)
    try:
        answer = http_client.request(
            "POST", url, purpose="restart", timeout_seconds=_timeout_seconds(context)
        )
    except errors.SagaError as exc:
        failure = TransientFailure if http_client.is_transient(exc) else StepFailed
        raise failure(f"The restart could not be asked for: {exc.message}") from exc
    if not 200 <= answer.status < 300:
        is_transient = answer.status in http_client.TRANSIENT_STATUSES
        failure = TransientFailure if is_transient else StepFailed
        raise failure(f"The restart URL answered {answer.status}.")
    return Outcome(message=f"The restart URL answered {answer.status}.")


def _restart_unit(context: StepContext) -> Outcome:
    unit = _unit_of(context)
    command = ["systemctl", "restart", "--", unit]
    commands.run(context, command, timeout_seconds=_timeout_seconds(context))
    return Outcome(message=f"systemd restarted {unit}.")


def _unit_of(context: StepContext) -> str:
    unit = context.target.restart_with
    if not _UNIT.fullmatch(unit):
        raise StepFailed(f"{unit!r} is not the name of a systemd unit.")
    return unit


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


def _run_named_command(context: StepContext) -> Outcome:
    name = context.target.restart_with
    output = commands.run_allowed(context, name, timeout_seconds=_timeout_seconds(context))
    return Outcome(message=commands.with_output(f"The command {name} ended well.", output))


def _timeout_seconds(context: StepContext) -> float:
    return min(float(context.target.restart_timeout_seconds), context.deadline_seconds)
