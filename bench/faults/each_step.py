"""Deployments whose worker is killed in each of their steps, again and again, until they end."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.test import override_settings

from registry import presence
from tests.updates.rollouts import (
    crash_endings,
    crash_installers,
    crash_strategies,
    crashing,
    scenes,
)
from tests.updates.rollouts.crash_cases import CrashCase
from updates.models import Job

CASES: tuple[type[CrashCase], ...] = (
    crash_strategies.CanaryCase,
    crash_strategies.ExpiringCase,
    crash_strategies.WavesCase,
    crash_strategies.PartialWavesCase,
    crash_strategies.HooksCase,
    crash_strategies.InstancesCase,
    crash_strategies.SlotsCase,
    crash_strategies.MetricsCase,
    crash_strategies.RetriesCase,
    *crash_endings.ENDINGS,
    *crash_installers.INSTALLERS,
)
NAMES = tuple(case.name for case in CASES)


@dataclass
class Deaths:
    """What came of the deployments of one case."""

    name: str
    deployments: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def kill_in_each_step(folder: Path, *, names: Sequence[str], rounds: int, seed: int) -> list[str]:
    presence.mark_filled()
    tallies: list[Deaths] = []
    began_at = time.monotonic()
    for case in CASES:
        if case.name in names:
            tallies.append(_run_case(folder / _plain(case.name), case, rounds, seed))
            _show(tallies[-1])
    return _report(tallies, seconds=time.monotonic() - began_at, seed=seed)


def _run_case(folder: Path, kind: type[CrashCase], rounds: int, seed: int) -> Deaths:
    tally = Deaths(name=kind.name)
    with _opened(folder) as scene:
        case = kind(scene, f"{_plain(kind.name)}-{os.getpid()}")
        before = case.install("good-0")
        for number, (quality, start) in enumerate(_plans(kind, rounds), start=1):
            chance = random.Random(f"{seed} {kind.name} {number}")  # noqa: S311 (repeatable, not secret)
            job = case.ask(f"{quality}-{number}")
            tally.deployments += 1
            try:
                if isinstance(start, str):
                    _kill_at_each_moment(case, job, before, start, tally)
                else:
                    for step in case.kill_in_each_step(
                        job, before=before, start=start, chance=chance
                    ):
                        tally.kills[f"{step.name}{' (back)' if step.is_rollback else ''}"] += 1
                before = case.check(job, before=before, is_good=quality == "good")
            except AssertionError as exc:
                tally.faults.append(f"{kind.name} {job.job_id} ({start}): {exc}")
                return tally
            for step in job.steps.filter(runs__gt=0).order_by("-position"):
                case.positions[step.name] = step.position
    return tally


def _plans(kind: type[CrashCase], rounds: int) -> Iterator[tuple[str, int | str]]:
    """Yield the version's quality, and at which boundary to begin or which step to cut off everywhere."""
    yield from itertools.product(kind.kinds, range(rounds))
    for name, quality in kind.walked:
        yield quality, name


def _kill_at_each_moment(case: CrashCase, job: Job, before: str, name: str, tally: Deaths) -> None:
    """Kill at the first moment of a step, then the next worker at the second one, until the step is done."""
    position = case.positions[name]
    crashing.run_into_step(job, crashing.Boundary.BEGUN, after=position - 1)
    for moment in itertools.count(1):
        job.steps.filter(position=position).update(runs=1)  # it is not given up
        is_killed = crashing.run_into_step(
            job, crashing.Boundary.AMIDST, after=position - 1, moment=moment
        )
        if not is_killed or crashing.steps_performed(job)[-1] > position:
            break
        tally.kills[f"{name}, at each of its moments"] += 1
        case.check_alive(job, before=before)
    crashing.bring_to_an_end(job)


def _plain(name: str) -> str:
    return name.replace(" ", "-")


@contextmanager
def _opened(folder: Path) -> Iterator[scenes.Scene]:
    with ExitStack() as stack:
        stack.enter_context(
            override_settings(
                SAGA_RESTART_COMMANDS={**crash_strategies.COMMANDS, **crash_installers.COMMANDS},
                SAGA_BAKE_SECONDS=0,
                SAGA_RETRY_DELAY_SECONDS=0,
            )
        )
        stack.enter_context(crash_installers.programs(folder))
        yield stack.enter_context(scenes.opened(folder))


def _show(tally: Deaths) -> None:
    kills = sum(tally.kills.values())
    print(f"{tally.name:<18}{tally.deployments:>4} deployments{kills:>6} kills", end="")
    print(f"{len(tally.faults):>4} wrong ends", *tally.faults, sep="\n  ", flush=True)


def _report(tallies: Sequence[Deaths], *, seconds: float, seed: int) -> list[str]:
    kills: Counter[str] = Counter()
    for tally in tallies:
        kills.update(tally.kills)
    print(f"\nseed {seed}, {sum(tally.deployments for tally in tallies)} deployments", end="")
    print(f", {kills.total()} kills in {seconds:.0f} s; by step:")
    for name, count in kills.most_common():
        print(f"  {name:<24}{count:>5}")
    faults = [fault for tally in tallies for fault in tally.faults]
    print(f"{len(faults)} wrong ends")
    for fault in faults:
        print(f"  {fault}")
    return faults
