"""The runs of the crash matrix, and the table that they end in."""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from updates.models import Job
from updates.rollouts import leases

STRATEGIES = ("rolling", "canary", "waves")
KINDS = ("good", "bad")
MORE_DEATHS = 4


@dataclass
class Tally:
    """What became of the deployments of one strategy with good or with bad artifacts."""

    deployments: int = 0
    kills: int = 0
    stuck: int = 0
    faults: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)


def kill_at_boundaries(folder: Path, *, strategies: Sequence[str]) -> list[str]:
    with _fleet(folder, strategies) as tracks:
        for track, boundary in itertools.product(tracks, crashing.Boundary):
            for number in range(len(track.steps)):
                track.deploy_and_kill_in_step(number, boundary)
                _show(tracks)
        return _report(tracks)


def kill_at_random(folder: Path, *, strategies: Sequence[str], kills: int, seed: int) -> list[str]:
    chance = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    with _fleet(folder, strategies) as tracks:
        for number, track in enumerate(itertools.cycle(tracks)):
            if sum(each.tally.kills for each in tracks) >= kills:
                return _report(tracks)
            track.deploy_and_kill_at_random(number, chance)
            _show(tracks)
    raise AssertionError("unreachable")


@contextmanager
def _fleet(folder: Path, strategies: Sequence[str]) -> Iterator[list[Track]]:
    with scenes.opened(folder) as scene:
        yield [Track(scene, *pair) for pair in itertools.product(strategies, KINDS)]


class Track:
    """One service that is deployed to again and again, by one strategy, with good or bad artifacts."""

    def __init__(self, scene: scenes.Scene, strategy: str, kind: str) -> None:
        self._scene, self._strategy, self._kind = scene, strategy, kind
        self.name = f"{strategy}-{kind}"
        self.tally = Tally()
        self._service: Service = scene.add_service(self.name, targets=2)
        self._running = "0"
        crashing.bring_to_an_end(scene.deploy(self._service, "0"))
        # Twice undisturbed: the first counts the moments, the second finds the steps.
        job = self._deploy()
        self._moments = crashing.count_moments(job)
        self._settle(crashing.bring_to_an_end(job))
        job = crashing.bring_to_an_end(self._deploy())
        self._settle(job)
        self.steps = crashing.steps_performed(job)

    def _deploy(self) -> Job:
        self.tally.deployments += 1
        version = f"{self._kind}-{self.tally.deployments}"
        return self._scene.deploy(self._service, version, strategy=self._strategy)

    def _settle(self, job: Job) -> None:
        self._running = job.version if job.status == Job.Status.SUCCEEDED else self._running

    def deploy_and_kill_in_step(self, number: int, boundary: crashing.Boundary) -> None:
        job = self._deploy()
        with self._noting(job, f"killed in step {self.steps[number]}, {boundary.value}"):
            is_killed = crashing.run_into_step(job, boundary, after=self.steps[number] - 1)
            if not is_killed:
                raise AssertionError("it did not come to that step")
            self._recover(job, kills=1)

    def deploy_and_kill_at_random(self, number: int, chance: random.Random) -> None:
        moments = [chance.randint(1, self._moments)]
        if number % 2:
            moments += [chance.randint(1, self._moments // 2) for _ in range(MORE_DEATHS)]
        job = self._deploy()
        with self._noting(job, f"killed at {moments} of {self._moments}"):
            for moment in moments[:-1]:
                self.tally.kills += crashing.run_until(job, moment)
                self._check_targets({self._running, job.version})
                leases.free_the_dead()
            self._recover(job, kills=crashing.run_until(job, moments[-1]))

    def _recover(self, job: Job, *, kills: int) -> None:
        """From the last death to the end, with a healthy worker at hand."""
        died_at = time.monotonic()
        self.tally.kills += kills
        self._check_targets({self._running, job.version})
        crashing.bring_to_an_end(job)
        if kills:
            self.tally.recoveries.append(time.monotonic() - died_at)
        self._check_end(job)

    @contextmanager
    def _noting(self, job: Job, how: str) -> Iterator[None]:
        try:
            yield
        except AssertionError as exc:
            self.tally.stuck += isinstance(exc, crashing.Stuck)
            self.tally.faults.append(f"{job.job_id} {how}: {exc}")
        self._settle(job)

    def _check_targets(self, allowed: set[str]) -> None:
        for target in self._service.targets.all():
            crashing.check_current_is_whole(target, allowed=allowed)

    def _check_end(self, job: Job) -> None:
        """A job that died five times in one step is given up, which is a correct end."""
        is_given_up = "died 5 times" in job.error
        status = "succeeded" if self._kind == "good" and not is_given_up else "rolled_back"
        if is_given_up and job.status == Job.Status.FAILED:
            status = Job.Status.FAILED
        version = job.version if status == "succeeded" else self._running
        crashing.check_end(job, list(self._service.targets.all()), status=status, version=version)


def _show(tracks: list[Track]) -> None:
    kills = sum(track.tally.kills for track in tracks)
    faults = sum(len(track.tally.faults) for track in tracks)
    print(f"\r{kills} kills, {faults} faults", end="", flush=True)


def _report(tracks: list[Track]) -> list[str]:
    """Print the table; return what went wrong."""
    print(f"\n\n{'':<18}{'deployments':>12}{'kills':>7}{'wrong ends':>12}{'stuck':>7}", end="")
    print(f"{'p50':>8}{'p95':>8}  (kill to end, a worker at hand)")
    for track in tracks:
        _print_row(track.name, track.tally)
    total = Tally(
        deployments=sum(track.tally.deployments for track in tracks),
        kills=sum(track.tally.kills for track in tracks),
        stuck=sum(track.tally.stuck for track in tracks),
        faults=[fault for track in tracks for fault in track.tally.faults],
        recoveries=[seconds for track in tracks for seconds in track.tally.recoveries],
    )
    _print_row("all", total)
    for fault in total.faults:
        print(f"  {fault}")
    return total.faults


def _print_row(name: str, tally: Tally) -> None:
    p95 = statistics.quantiles(tally.recoveries, n=20)[18] if len(tally.recoveries) > 1 else 0
    p50 = statistics.median(tally.recoveries) if tally.recoveries else 0
    wrong = len(tally.faults) - tally.stuck
    print(f"{name:<18}{tally.deployments:>12}{tally.kills:>7}{wrong:>12}{tally.stuck:>7}", end="")
    print(f"{p50:>6.1f} s{p95:>6.1f} s")
