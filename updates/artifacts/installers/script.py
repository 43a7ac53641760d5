"""Have a command of the node install: its own script, by a contract.

The command of ``installer_options`` is run with ``SAGA_ACTION=install`` or ``restore``, ``SAGA_ARTIFACT``
(the verified file, empty where it is not in the store any more) and ``SAGA_ARTIFACT_SHA256`` beside the usual
variables. ``SAGA_VERSION`` is what must run afterwards. It may be run twice for the same version, and
ends with 0 when it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from updates.artifacts import store
from updates.artifacts.installers import commands, staging
from updates.step_context import Outcome, StepContext, StepFailed

DEFAULT_TIMEOUT_SECONDS = 600


def fault(options: dict[str, Any]) -> str | None:
    """Return why these cannot be the options of the installer, None where they can."""
    if set(options) - {"command", "timeout_seconds"} or not isinstance(options.get("command"), str):
        return (
            "A command installer needs {'command': its name in the settings}, and timeout_seconds."
        )
    seconds = options.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= 86_400:
        return "timeout_seconds is a number from 1 to 86400."
    return None


def fetch(context: StepContext) -> Outcome:
    if context.artifact_type == "image":
        raise StepFailed("A command target installs files; the release is an image.")
    return staging.fetch(context)


def back_up(context: StepContext) -> Outcome:
    """The script keeps what it replaces; only its version is recorded."""
    previous = context.target.current_version or None
    message = f"{previous} runs." if previous else "Nothing runs here yet."
    return Outcome(message=message, result={"previous": previous})


def switch(context: StepContext) -> Outcome:
    artifact = staging.artifact_of(context)
    return _run(context, "install", artifact.path, artifact.sha256)


def restore(context: StepContext) -> Outcome:
    if context.previous is None:
        return Outcome(message="Nothing ran here before.", is_skipped=True)
    path = store.named_path(context.service_name, context.previous)
    return _run(context, "restore", path if path.is_file() else None, "")


def _run(context: StepContext, action: str, artifact: Path | None, sha256: str) -> Outcome:
    name = str(context.target.installer_options.get("command", ""))
    seconds = context.target.installer_options.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    extra = {
        "SAGA_ACTION": action,
        "SAGA_ARTIFACT": str(artifact or ""),
        "SAGA_ARTIFACT_SHA256": sha256,
    }
    output = commands.run_allowed(context, name, timeout_seconds=float(seconds), extra=extra)
    return Outcome(message=commands.with_output(f"The command {name} ended well.", output))


STEPS: dict[str, Callable[[StepContext], Outcome]] = {
    "fetch": fetch,
    "verify": staging.verify,
    "back up": back_up,
    "switch": switch,
    "restore": restore,
}
