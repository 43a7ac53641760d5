"""The runs of the crash matrix."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from updates import leases
from updates.models import Job

STRATEGIES = ("rolling", "blue-green", "canary")
KINDS = ("good", "bad")
MORE_DEATHS = 4


@dataclass
class Tally:
    kills: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)


def run(folder: Path, *, kills: int, seed: int) -> list[str]:
    chance = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    tally = Tally()
    with scenes.opened(folder) as scene:
        fleet = {pair: Track(scene, *pair) for pair in itertools.product(STRATEGIES, KINDS)}
        for number, track in enumerate(itertools.cycle(fleet.values())):
            if tally.kills >= kills:
                break
            track.deploy_and_kill(number, chance, tally)
            print(f"\r{tally.kills} kills, {len(tally.faults)} faults", end="", flush=True)
    _report(tally)
    return tally.faults


class Track:
    """One service that is deployed to again and again, by one strategy, with good or bad artifacts."""

    def __init__(self, scene: scenes.Scene, strategy: str, kind: str) -> None:
        self._scene, self._strategy, self._kind = scene, strategy, kind
        self._service: Service = scene.add_service(f"{strategy}-{kind}", targets=2)
        self._running = "0"
        crashing.bring_to_an_end(scene.deploy(self._service, "0"))
        job = scene.deploy(self._service, self._version("first"), strategy=strategy)
        self._moments = crashing.count_moments(job)
        self._settle(crashing.bring_to_an_end(job))

    def _version(self, name: str | int) -> str:
        return f"{self._kind}-{name}"

    def _settle(self, job: Job) -> None:
        self._running = job.version if job.status == Job.Status.SUCCEEDED else self._running

    def deploy_and_kill(self, number: int, chance: random.Random, tally: Tally) -> None:
        job = self._scene.deploy(self._service, self._version(number), strategy=self._strategy)
        moments = [chance.randint(1, self._moments)]
        if number % 2:
            moments += [chance.randint(1, self._moments // 2) for _ in range(MORE_DEATHS)]
        where = f"{job.job_id} killed at {moments} of {self._moments}"
        try:
            for moment in moments:
                tally.kills += crashing.run_until(job, moment)
                self._check_targets({self._running, job.version})
                leases.free_the_dead()
            died_at = time.monotonic()
            crashing.bring_to_an_end(job)
            tally.recoveries.append(time.monotonic() - died_at)
            self._check_end(job)
        except AssertionError as exc:
            tally.faults.append(f"{where}: {exc}")
        tally.ends[f"{self._strategy} {self._kind}: {job.status}"] += 1
        self._settle(job)

    def _check_targets(self, allowed: set[str]) -> None:
        for target in self._service.targets.all():
            crashing.check_current_is_whole(target, allowed=allowed)

    def _check_end(self, job: Job) -> None:
        """Whoever died five times in one step is given up, and that is a right end, too."""
        is_given_up = "died 5 times" in job.error
        status = "succeeded" if self._kind == "good" and not is_given_up else "rolled_back"
        if is_given_up and job.status == Job.Status.FAILED:
            status = Job.Status.FAILED
        version = job.version if status == "succeeded" else self._running
        crashing.check_end(job, list(self._service.targets.all()), status=status, version=version)


def _report(tally: Tally) -> None:
    print(f"\n{tally.kills} kills in {tally.ends.total()} deployments")
    for end, count in sorted(tally.ends.items()):
        print(f"  {end}: {count}")
    print(f"wrong ends or stuck jobs: {len(tally.faults)}")
    for fault in tally.faults:
        print(f"  {fault}")
