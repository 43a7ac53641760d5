"""Lay a job's moves out as the steps of its journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings

from updates.artifacts.installers import hooks
from updates.artifacts.installers.hooks import Hook
from updates.models import Job, Step, Target
from updates.rollouts import strategies, strategy_options, waves
from updates.rollouts.strategies import Action, Move

FETCH, VERIFY, UNPACK, BACK_UP = "fetch", "verify", "unpack", "back up"
CLEAN_UP = "clean up"
AFTER_UNPACK, BEFORE_SWITCH = str(Hook.AFTER_UNPACK), str(Hook.BEFORE_SWITCH)
AFTER_HEALTHY, AFTER_ROLLBACK = str(Hook.AFTER_HEALTHY), str(Hook.AFTER_ROLLBACK)
STAGING = (FETCH, VERIFY, UNPACK, AFTER_UNPACK, BACK_UP)
#: Steps with failures that are journaled and change nothing else.
HARMLESS = (CLEAN_UP, AFTER_ROLLBACK)
#: Steps of a rollback that must not stop it: the service runs without them.
COURTESIES = (
    Action.DRAIN,
    Action.UNDRAIN,
    Action.SHARE,
    Action.CLEAR_SHARE,
    CLEAN_UP,
    AFTER_ROLLBACK,
)


def lay_out(job: Job, targets: Sequence[Target]) -> list[Step]:
    """Plan the job and return its unsaved steps; the plan itself is kept in ``job.moves``."""
    options = strategy_options.read(job.strategy_options)
    groups = None
    if options.waves:
        groups = waves.group({target.name: target.labels for target in targets}, options)
    names = [target.name for target in targets]
    moves = strategies.plan(job.strategy, names, options, groups=groups)
    if job.metrics or any(target.is_watched for target in targets):
        is_set = options.bake_seconds is not None
        seconds = options.bake_seconds if is_set else settings.SAGA_BAKE_SECONDS
        moves.append(Move(action=Action.BAKE, seconds=seconds))
    job.moves = [dataclasses.asdict(move) for move in moves]
    by_name = {target.name: target for target in targets}
    is_back = job.kind == Job.Kind.ROLLBACK
    steps = _steps_of(enumerate(moves), by_name, is_back=is_back)
    _insert_before_switch(steps, targets)
    steps += [
        _step(CLEAN_UP, target, move=len(moves))
        for target in targets
        if target.has_releases_on_disk or target.installer == Target.Installer.CONTAINER
    ]
    return _numbered(job, steps, start=0)


def moves_of(job: Job) -> list[Move]:
    return [Move(**{**raw, "action": Action(raw["action"])}) for raw in job.moves]


def lay_out_rollback(job: Job, *, begun: int) -> list[Step]:
    """Return the unsaved steps that undo the first ``begun`` moves of the job."""
    options = strategy_options.read(job.strategy_options)
    targets = {target.name: target for target in job.service.targets.all()}
    planned = moves_of(job)
    count = sum(move.action is Action.STAGE for move in planned)
    moves = strategies.undo(planned[:begun], options, targets=count)
    steps = _steps_of(((begun, move) for move in moves), targets, is_back=True)
    for step in steps:
        step.is_rollback = True
    return _numbered(job, steps, start=job.steps.count())


def lay_out_repair(job: Job, step: Step) -> list[Step]:
    """Return the unsaved steps that restore the one target that failed in ``step``."""
    options = strategy_options.read(job.strategy_options)
    mine = job.steps.filter(target_name=step.target_name, is_rollback=False)
    begun = mine.filter(started_at__isnull=False).order_by("move").distinct("move")
    planned = moves_of(job)
    moves = strategies.undo(
        [planned[number] for number in begun.values_list("move", flat=True)], options, targets=1
    )
    targets = {target.name: target for target in job.service.targets.all()}
    steps = _steps_of(((step.move, move) for move in moves), targets, is_back=True)
    for each in steps:
        each.is_rollback = True
    return steps


def _numbered(job: Job, steps: list[Step], *, start: int) -> list[Step]:
    for position, step in enumerate(steps, start=start):
        step.job = job
        step.position = position
    return steps


def _insert_before_switch(steps: list[Step], targets: Sequence[Target]) -> None:
    """Once all targets are staged, and before any is touched: on the first target that has the hook."""
    target = next((target for target in targets if hooks.has(target, Hook.BEFORE_SWITCH)), None)
    staged = [place for place, step in enumerate(steps) if step.name in STAGING]
    if target is not None and staged:
        step = _step(BEFORE_SWITCH, target, move=steps[staged[-1]].move)
        steps.insert(staged[-1] + 1, step)


def _steps_of(
    moves: Iterable[tuple[int, Move]], targets: Mapping[str, Target], *, is_back: bool
) -> list[Step]:
    return [
        step
        for number, move in moves
        for step in _steps_of_move(number, move, targets, is_back=is_back)
    ]


def _steps_of_move(
    number: int, move: Move, targets: Mapping[str, Target], *, is_back: bool
) -> list[Step]:
    if not move.target:
        return [Step(name=move.action, move=number, weight=move.weight, wait_seconds=move.seconds)]
    target = targets.get(move.target)
    if target is None:
        return [Step(name=move.action, move=number, target_name=move.target)]
    if move.action is Action.STAGE:
        return [_step(name, target, move=number) for name in _staging(target)]
    after = Hook.AFTER_ROLLBACK if is_back else Hook.AFTER_HEALTHY
    follows = []
    if move.action is Action.HEALTH and hooks.has(target, after):
        follows = [_step(after, target, move=number)]
    if _has_nothing_to_do(move.action, target):
        return follows
    step = _step(move.action, target, move=number)
    if move.action is Action.UNDRAIN:
        step.node = ""  # any worker can, also where the target's own died meanwhile
    return [step, *follows]


def _staging(target: Target) -> Sequence[str]:
    if target.has_releases_on_disk and hooks.has(target, Hook.AFTER_UNPACK):
        return (FETCH, VERIFY, UNPACK, AFTER_UNPACK, BACK_UP)
    if target.has_releases_on_disk:
        return (FETCH, VERIFY, UNPACK, BACK_UP)
    if target.installer == Target.Installer.CONTAINER:
        return (FETCH, BACK_UP)
    if target.installer == Target.Installer.COMMAND or target.needs_signature:
        return (FETCH, VERIFY, BACK_UP)
    return (BACK_UP,)


def _has_nothing_to_do(action: Action, target: Target) -> bool:
    return (
        (action in (Action.DRAIN, Action.UNDRAIN) and not target.instance_id)
        or (action is Action.RESTART and target.restart == Target.Restart.NONE)
        or (action is Action.HEALTH and not target.has_health_gate)
    )


def _step(name: str, target: Target, **fields: Any) -> Step:
    return Step(name=name, target=target, target_name=target.name, node=target.node, **fields)
