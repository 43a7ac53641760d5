"""What a target has done around a deployment: an HTTP call, or a command that its node's settings allow.

``after_unpack`` prepares a release before anything is drained, ``before_switch`` runs once per job,
``stop`` ends what a failed first deployment started, ``after_healthy`` and ``after_rollback`` follow
the gates.
"""

from __future__ import annotations

import enum
import json
from typing import Any

from saga_project.shared import errors, http_client
from updates.artifacts.installers import commands
from updates.models import Target
from updates.step_context import Outcome, StepContext, StepFailed

DEFAULT_TIMEOUT_SECONDS = 600
MAX_TIMEOUT_SECONDS = 6 * 3600
_KEYS = {"command", "url", "timeout_seconds"}


class Hook(enum.StrEnum):
    AFTER_UNPACK = "after_unpack"
    BEFORE_SWITCH = "before_switch"
    STOP = "stop"
    AFTER_HEALTHY = "after_healthy"
    AFTER_ROLLBACK = "after_rollback"


def fault(values: object) -> str | None:
    """Return why these cannot be the hooks of a target, None where they can."""
    if not isinstance(values, dict):
        return "Hooks are a JSON object, by the name of the hook."
    for name, hook in values.items():
        if name not in set(Hook):
            return f"{name!r} is no hook; there are {', '.join(Hook)}."
        if not isinstance(hook, dict) or set(hook) - _KEYS:
            return f"The hook {name} is an object with command or url, and timeout_seconds."
        if reason := _fault_of(hook):
            return f"The hook {name} {reason}."
    return None


def _fault_of(hook: dict[str, Any]) -> str | None:
    given = [hook[key] for key in ("command", "url") if key in hook]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        return "needs either a command's name or a url"
    seconds = hook.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not is_number or not 1 <= seconds <= MAX_TIMEOUT_SECONDS:
        return f"needs timeout_seconds from 1 to {MAX_TIMEOUT_SECONDS}"
    return None


def has(target: Target, hook: Hook) -> bool:
    return hook in target.hooks


def timeout_seconds(target: Target, name: str) -> float | None:
    """Return how long the hook may take, None where the name is no hook of the target."""
    hook = target.hooks.get(name)
    return float(hook.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)) if hook else None


def run(context: StepContext, hook: Hook) -> Outcome:
    """Run one hook of the target; raises StepFailed."""
    settings = context.target.hooks.get(hook)
    if settings is None:
        return Outcome(message=f"The target has no hook {hook} any more.", is_skipped=True)
    seconds = float(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    if url := settings.get("url"):
        return _call(context, hook, commands.fill(url, context), seconds)
    name = settings["command"]
    output = commands.run_allowed(context, name, timeout_seconds=seconds)
    return Outcome(message=commands.with_output(f"The command {name} ended well.", output))


def _call(context: StepContext, hook: Hook, url: str, seconds: float) -> Outcome:
    body = {
        "hook": hook,
        "service": context.service_name,
        "instance": commands.instance_of(context),
        "target": context.target.name,
        "version": context.wanted_version,
        "previous_version": context.replaced_version,
        "release_dir": str(commands.release_dir(context)),
        "job_id": context.job_id,
    }
    try:
        answer = http_client.request(
            "POST",
            url,
            purpose="hook",
            headers={"Content-Type": "application/json"},
            body=json.dumps(body).encode(),
            timeout_seconds=seconds,
            max_bytes=commands.MAX_OUTPUT_BYTES,
            truncate=True,
        )
    except errors.SagaError as exc:
        raise StepFailed(f"The hook {hook} could not be called: {exc.message}") from exc
    said = commands.readable(answer.body, context)
    if not 200 <= answer.status < 300:
        reason = f"The hook {hook} answered {answer.status}."
        raise StepFailed(commands.with_output(reason, said))
    return Outcome(message=commands.with_output(f"The hook {hook} answered {answer.status}.", said))
