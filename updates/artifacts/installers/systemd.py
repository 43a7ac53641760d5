"""Install into a folder, and run it as a systemd unit of the target's own.

The unit is ``saga-<service>-<target>.service``. It is written anew where it differs, with the variables of
the target in a file that only its owner reads, and restarted with the switch and with a rollback. systemd is
asked whether it knows the unit as it is written: a worker may have been killed before it could say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from updates.artifacts import files
from updates.artifacts.installers import commands, directory
from updates.step_context import Outcome, StepContext

CALL_SECONDS = 90.0
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_TEXTS = ("exec_start", "user", "unit_folder")
_UNIT = """\
[Unit]
Description={service} on {target}, installed by Saga
After=network-online.target

[Service]
ExecStart={exec_start}
WorkingDirectory={root}/current
EnvironmentFile={root}/environment
{user}Restart=on-failure

[Install]
WantedBy={wanted_by}
"""


def fault(options: dict[str, Any]) -> str | None:
    """Return why no unit can be made of these options, None where one can."""
    if unknown := sorted(set(options) - {*_TEXTS, "is_user_unit"}):
        return f"Unknown option {unknown[0]!r} of a systemd unit."
    for name in _TEXTS:
        text = options.get(name, "")
        if not isinstance(text, str) or not text.isprintable():
            return f"{name} is a text of one line."
    if not options.get("exec_start"):
        return "A systemd target needs exec_start, such as '{current}/bin/run'."
    if options.get("user") and not _USER.fullmatch(options["user"]):
        return f"{options['user']!r} is no user's name."
    if not isinstance(options.get("is_user_unit", False), bool):
        return "is_user_unit is true or false."
    return None


def switch(context: StepContext) -> Outcome:
    outcome = directory.switch(context)
    _start(context)
    return Outcome(message=f"{outcome.message} systemd restarted {unit_of(context)}.")


def restore(context: StepContext) -> Outcome:
    """Start what ran before; where nothing did, the unit is stopped and disabled."""
    outcome = directory.restore(context)
    if context.previous is None and not (_unit_folder(context) / unit_of(context)).exists():
        return outcome
    if context.previous is None:
        _systemctl(context, "disable", "--now", "--", unit_of(context))
        return Outcome(message=f"{outcome.message} systemd stopped {unit_of(context)}.")
    _start(context)
    return Outcome(message=f"{outcome.message} systemd restarted {unit_of(context)}.")


def stop(context: StepContext) -> Outcome:
    """Stop and disable the unit, where there is one."""
    if not (_unit_folder(context) / unit_of(context)).exists():
        return Outcome(message=f"There is no unit {unit_of(context)}.")
    _systemctl(context, "disable", "--now", "--", unit_of(context))
    return Outcome(message=f"systemd stopped {unit_of(context)}.")


STEPS: dict[str, Callable[[StepContext], Outcome]] = {
    **directory.STEPS,
    "switch": switch,
    "restore": restore,
}


def unit_of(context: StepContext) -> str:
    return f"saga-{context.service_name}-{context.target.name}.service"


def _start(context: StepContext) -> None:
    unit = unit_of(context)
    _write(context.root / "environment", _environment(context), mode=0o600)
    _write(_unit_folder(context) / unit, _unit(context), mode=0o644)
    known = _systemctl(context, "show", "--property=NeedDaemonReload,UnitFileState", "--", unit)
    if "NeedDaemonReload=no" not in known.split():
        _systemctl(context, "daemon-reload")
    if "UnitFileState=enabled" not in known.split():
        _systemctl(context, "enable", "--", unit)
    _systemctl(context, "restart", "--", unit)


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file where its content differs, readable by no more than ``mode`` at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in path.parent.glob(f".part-*-{path.name}"):  # of a worker that was killed
        part.unlink(missing_ok=True)
    data = text.encode()
    if not path.is_file() or path.read_bytes() != data:
        files.write(path, data, mode=mode)


def _unit(context: StepContext) -> str:
    options = context.target.installer_options
    exec_start = commands.fill(options["exec_start"], context)
    user = options.get("user", "")
    return _UNIT.format(
        service=context.service_name,
        target=context.target.name,
        exec_start=exec_start.replace("{current}", str(context.root / "current")),
        root=context.root,
        user=f"User={user}\n" if user else "",
        wanted_by="default.target" if options.get("is_user_unit") else "multi-user.target",
    )


def _environment(context: StepContext) -> str:
    values = commands.declared_of(context)
    return "".join(f'{name}="{_quoted(value)}"\n' for name, value in values.items())


def _quoted(value: str) -> str:
    return re.sub(r'([\\"`$])', r"\\\1", value)


def _unit_folder(context: StepContext) -> Path:
    options = context.target.installer_options
    if folder := options.get("unit_folder"):
        return Path(folder)
    if options.get("is_user_unit"):
        return Path.home() / ".config" / "systemd" / "user"
    return Path("/etc/systemd/system")


def _systemctl(context: StepContext, *words: str) -> str:
    scope = ["--user"] if context.target.installer_options.get("is_user_unit") else []
    return commands.run(context, ["systemctl", *scope, *words], timeout_seconds=CALL_SECONDS)
