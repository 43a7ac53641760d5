"""Deployments whose workers are killed in each step: what each is made of, and what must be true meanwhile.

A case sets up a service, asks for its deployments, and knows where to see what runs. What all of them
promise is checked here: after each death a target runs the old version or the new one, no more instances
than allowed are out of the lookups, and at the end nothing is left behind.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.utils import timezone

from registry import operations as registry
from registry.models import Instance, Service
from tests.updates.rollouts import crashing, scenes
from updates import operations
from updates.models import HistoryEntry, Job, Step, Target

SEPARATE = {"max_unavailable": 1}
#: A death amidst a step comes at one of so many moments after its begin.
MOMENTS = 24


class CrashCase:
    """Two targets, updated one after the other; the subclasses say what is different."""

    name = "rolling"
    strategy = "rolling"
    options: Mapping[str, Any] = SEPARATE
    targets = 2
    kinds: Sequence[str] = ("good", "bad")
    #: Steps that are cut off at each of their moments, and the versions that have them.
    walked: Sequence[tuple[str, str]] = ()
    #: How many of the instances may be out of the lookups at once.
    allowed_out = 1

    def __init__(self, scene: scenes.Scene, service_name: str) -> None:
        self.scene = scene
        #: Where each step stood in the deployments so far, the first of its name.
        self.positions: dict[str, int] = {}
        self.service = scene.add_service(service_name, targets=self.targets)
        self.set_up()
        for number, target in enumerate(self.installed()):
            self.register(target.instance_id, "", number)
        scene.on_restart = self.restarted

    # --- What is different ------------------------------------------------------------------------

    def set_up(self) -> None:
        """Change the targets, before anything is deployed."""

    def ask(self, version: str) -> Job:
        """Ask for the deployment whose workers are killed."""
        return self.deploy(version)

    def good_end(self) -> str:
        return "succeeded"

    def bad_end(self) -> str:
        return "rolled_back"

    def go_on(self, job: Job) -> bool:
        """Do what staff do with a job that has ended; return whether it works again."""
        return False

    def running(self, target: Target) -> str | None:
        return crashing.current(Path(target.install_root))

    def check_target(self, target: Target, *, allowed: set[str | None]) -> None:
        """Check what runs on the target, at any moment."""
        version = self.running(target)
        assert version in allowed, f"{target.name} has {version}, not one of {allowed}"
        if version is not None:
            crashing.check_current_is_whole(target, allowed={version})

    def check_end(self, job: Job, *, before: str, is_good: bool) -> None:
        """Check what only this case promises of the end."""

    # --- What is the same -------------------------------------------------------------------------

    def deploy(self, version: str, *, options: Mapping[str, Any] | None = None) -> Job:
        return operations.deploy(
            self.service,
            self.scene.announce(version),
            by="ci",
            strategy=self.strategy if options is None else "rolling",
            options={**(self.options if options is None else options), "failure_threshold": 1},
        )

    def install(self, version: str) -> str:
        """Have the version run on all targets, undisturbed; return what runs then."""
        job = crashing.bring_to_an_end(self.deploy(version, options={"max_unavailable": "100%"}))
        assert job.status == "succeeded", f"{job.status}: {job.error}"
        return version

    def installed(self) -> Sequence[Target]:
        """Return the targets that something is installed on."""
        return list(self.service.targets.filter(instances=[]))

    def worked_on(self, job: Job) -> Sequence[Target]:
        names = set(job.steps.exclude(target_name="").values_list("target_name", flat=True))
        return [target for target in self.installed() if target.name in names]

    def register(self, instance_id: str, version: str, number: int) -> None:
        registration = registry.Registration(
            service_name=self.service.name,
            url=f"http://127.0.0.1:{9000 + number}",
            instance_id=instance_id,
            version=version,
            ttl_seconds=86_400,
        )
        registry.register(registration, by=None, now=timezone.now())

    def restarted(self, path: str) -> object:
        """Do what the service does that is started; a number is the status of the answer."""

    def kill_in_each_step(
        self, job: Job, *, before: str, start: int, chance: random.Random
    ) -> Iterator[Step]:
        """Kill a worker in each step, at the next boundary in turn, until the job ends; yield these steps.

        Staff have a job go on that needs it.
        """
        after = -1
        for boundary in itertools.islice(itertools.cycle(crashing.Boundary), start, None):
            moment = chance.randint(1, MOMENTS)
            if crashing.run_into_step(job, boundary, after=after, moment=moment):
                after = crashing.steps_performed(job)[-1]
                yield job.steps.get(position=after)
                self.check_alive(job, before=before)
            elif not self.go_on(job):
                return

    def check_alive(self, job: Job, *, before: str) -> None:
        """Check what must be true at any moment, also when the worker has just died."""
        for target in self.worked_on(job):
            self.check_target(target, allowed={before, job.version})
        out = Instance.objects.filter(service=self.service, is_draining=True).count()
        assert out <= self.allowed_out, f"{out} instances are out of the lookups"

    def check(self, job: Job, *, before: str, is_good: bool) -> str:
        """Check the end of a job; return the version that runs now."""
        status = self.good_end() if is_good else self.bad_end()
        assert job.status == status, f"{job.status}: {job.error}"
        version = job.version if status == "succeeded" else before
        for target in self.worked_on(job):
            self.check_target(target, allowed={version})
            root = Path(target.install_root)
            left = [*root.rglob(".part-*"), *root.rglob(".trash-*")]
            assert not left, f"left behind: {left}"
        service = Service.objects.get(pk=self.service.pk)
        assert (service.canary_version, service.canary_percent) == ("", None)
        assert HistoryEntry.objects.filter(job_id=job.job_id).count() >= 1
        self.check_end(job, before=before, is_good=is_good)
        return version
