"""Failed targets that a wave tolerates: each goes back to its previous version, and the rollout goes on."""

from __future__ import annotations

from django.db.models import F

from updates.models import Job, Step, Watch
from updates.rollouts import journal, planning, strategy_options, waves
from updates.rollouts.strategies import Action

#: Steps are numbered without gaps; while some are inserted, those that follow stand beyond this.
_BEYOND = 1_000_000


def tolerates(job: Job, step: Step) -> bool:
    """Whether the wave of the step's target allows one more of its targets to fail."""
    number = _wave_of(job, step.target_name)
    if number is None or step.is_rollback or step.name == planning.BEFORE_SWITCH:
        return False
    if _has_before_switch(job, step):
        return False
    wave = waves.number(strategy_options.read(job.strategy_options), number)
    allowed = waves.allowed_failures(wave, targets=len(_targets_of(job, number)))
    return len(_failed_in(job, number) | {step.target_name}) <= allowed


def set_aside(job: Job, step: Step, *, reason: str) -> None:
    """Leave the step's target out of the rest of the rollout, and restore it next where it was touched."""
    name = step.target_name
    failure = {"target": name, "wave": _wave_of(job, name), "reason": reason}
    job.failed_targets = [*job.failed_targets, failure]
    job.save(update_fields=["failed_targets"])
    Watch.objects.filter(job=job, target=step.target_id).delete()
    left = job.steps.filter(is_rollback=False, target_name=name)
    journal.skip(left, message="The target failed; the wave goes on without it.")
    _insert_after(job, step, planning.lay_out_repair(job, step))


def _insert_after(job: Job, step: Step, steps: list[Step]) -> None:
    later = job.steps.filter(position__gt=step.position)
    later.update(position=F("position") + _BEYOND)
    for position, new in enumerate(steps, start=step.position + 1):
        new.job, new.position = job, position
    Step.objects.bulk_create(steps)
    moved = job.steps.filter(position__gt=_BEYOND)
    moved.update(position=F("position") - _BEYOND + len(steps))


def misses_threshold(job: Job, number: int) -> bool:
    """Whether fewer targets of the wave are good than its success threshold asks for."""
    targets = _targets_of(job, number)
    wave = waves.number(strategy_options.read(job.strategy_options), number)
    good = len(targets) - len(_failed_in(job, number))
    return good < waves.needed_successes(wave, targets=len(targets))


def describe(job: Job, number: int) -> str:
    """Return how a wave went, for the pause after it."""
    targets = _targets_of(job, number)
    good = len(targets) - len(_failed_in(job, number))
    numbers = {raw["wave"] for raw in job.moves if raw["action"] == Action.SWITCH}
    return f"Wave {number} of {max(numbers)}: {good} of {len(targets)} targets are updated"


def summary(job: Job) -> str:
    """Return which targets failed, empty where none did."""
    if not job.failed_targets:
        return ""
    reasons = " ".join(f"{failure['reason']}" for failure in job.failed_targets)
    names = ", ".join(failure["target"] for failure in job.failed_targets)
    return f"Not updated, as their waves allow: {names}. {reasons}"


def names(job: Job) -> set[str]:
    return {failure["target"] for failure in job.failed_targets}


def _failed_in(job: Job, number: int) -> set[str]:
    return {failure["target"] for failure in job.failed_targets if failure["wave"] == number}


def _wave_of(job: Job, target_name: str) -> int | None:
    """Return the number of the target's wave; None where the job has no waves."""
    if not job.strategy_options.get("waves") or not target_name:
        return None
    numbers = (
        raw["wave"]
        for raw in job.moves
        if raw["target"] == target_name and raw["action"] == Action.SWITCH
    )
    return next(numbers, None)


def _targets_of(job: Job, number: int) -> set[str]:
    return {
        raw["target"]
        for raw in job.moves
        if raw["wave"] == number and raw["action"] == Action.SWITCH
    }


def _has_before_switch(job: Job, step: Step) -> bool:
    """The hook runs once for all targets, in the release of this one."""
    hooks = job.steps.filter(name=planning.BEFORE_SWITCH, target_name=step.target_name)
    return hooks.exclude(status__in=Step.ENDED).exists()
