"""Attempts at a step that failed by something transient: a server that was away, a restart that hung."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.utils import timezone

from updates.models import Step
from updates.rollouts import journal, planning
from updates.rollouts.strategies import Action
from updates.rollouts.strategy_options import Options

ATTEMPTS = "attempts"
#: Hooks are not among them: a migration that hung may be half done.
REPEATED = (planning.FETCH, Action.RESTART)


def note(step: Step, reason: str) -> int:
    """Add a failed attempt to the unsaved step; return how many there are."""
    attempt = {"at": timezone.now().astimezone(dt.UTC).isoformat(), "reason": reason}
    step.result = {**step.result, ATTEMPTS: [*step.result.get(ATTEMPTS, []), attempt]}
    return len(step.result[ATTEMPTS])


def arm(step: Step, *, of: int) -> None:
    """Have the step run again, with the attempts so far in its message."""
    attempts = step.result[ATTEMPTS]
    message = f"Attempt {len(attempts)} of {of} failed: {attempts[-1]['reason']}"
    journal.ask_again(step, message)
    step.save(update_fields=["result"])


def delay_seconds(options: Options, attempt: int) -> float:
    """Return how long to wait after the attempt with this number: each time twice as long."""
    first = options.retry_delay_seconds
    if first is None:
        first = settings.SAGA_RETRY_DELAY_SECONDS
    return float(first * 2 ** (attempt - 1))


def failure(step: Step, reason: str) -> str:
    """Return why the last attempt failed, with how many there were."""
    attempts = len(step.result[ATTEMPTS])
    return f"{reason} It was tried {attempts} times." if attempts > 1 else reason


def with_attempts(step: Step, message: str) -> str:
    """Return the message of a step that ended well, with the attempts that failed before."""
    failed = [attempt["reason"] for attempt in step.result.get(ATTEMPTS, [])]
    notes = [f"Attempt {number} failed: {reason}" for number, reason in enumerate(failed, start=1)]
    return " ".join([message, *notes])


def kept(step: Step) -> dict[str, Any]:
    return {ATTEMPTS: step.result[ATTEMPTS]} if ATTEMPTS in step.result else {}
