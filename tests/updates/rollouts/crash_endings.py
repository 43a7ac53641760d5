"""Cases for the crash matrix that staff end, or that end where nothing ran before."""

from __future__ import annotations

from tests.updates.rollouts import crashing
from tests.updates.rollouts.crash_cases import CrashCase
from tests.updates.rollouts.crash_strategies import HooksCase
from updates import operations
from updates.models import Job, Target
from updates.operations import Details


class FastRollbackCase(CrashCase):
    """All targets at once, without drains; the version that is gone back to is on disk."""

    name = "fast rollback"
    kinds = ("good",)
    allowed_out = 0

    def ask(self, version: str) -> Job:
        self.install(version)
        self._before = version
        return operations.roll_back(self.service, by="sam", details=Details(is_fast=True))

    def check_alive(self, job: Job, *, before: str) -> None:
        super().check_alive(job, before=self._before)

    def check(self, job: Job, *, before: str, is_good: bool) -> str:
        assert job.version == before
        return super().check(job, before=self._before, is_good=True)


class FirstCase(HooksCase):
    """Nothing ran before: a first deployment that fails stops what it started."""

    name = "first deployment"
    targets = 1
    _number = 0

    def ask(self, version: str) -> Job:
        """Each time in a new folder."""
        self._number += 1
        root = self.scene.folder / self.service.name / f"new-{self._number}"
        root.mkdir()
        health_url = f"{self.scene.base_url}/health/{self.service.name}/{root.name}"
        self.service.targets.update(
            install_root=str(root), current_version="", health_url=health_url
        )
        return self.deploy(version)

    def bad_end(self) -> str:
        return "failed"

    def check_alive(self, job: Job, *, before: str) -> None:
        for target in self.installed():
            if self.running(target) is not None:
                self.check_target(target, allowed={job.version})

    def check(self, job: Job, *, before: str, is_good: bool) -> str:
        assert job.status == ("succeeded" if is_good else "failed"), f"{job.status}: {job.error}"
        [target] = self.installed()
        if is_good:
            self.check_target(target, allowed={job.version})
            return job.version
        assert self.running(target) is None
        hooks = [line[0] for line in self._log_of(target)]
        assert hooks[-1] == "stop", f"the last hook was {hooks[-1]}"
        assert "may still run" not in job.error
        return before


class AttentionCase(CrashCase):
    """The restart of one target fails during the rollback; staff have it tried again, or acknowledge."""

    name = "attention"
    kinds = ("bad",)

    def ask(self, version: str) -> Job:
        self._is_mended = False
        return super().ask(version)

    def restarted(self, path: str) -> int:
        """Target 0 does not start its old version again, until that is repaired."""
        _, _, name, number = path.split("/")
        version = crashing.current(self.scene.folder / name / number) or ""
        is_stuck = number == "0" and not self._is_mended and not version.startswith("bad")
        return 409 if is_stuck else 200

    def install(self, version: str) -> str:
        self._is_mended = True
        return super().install(version)

    def check_alive(self, job: Job, *, before: str) -> None:
        for target in self.worked_on(job):
            self.check_target(target, allowed={before, job.version})

    def go_on(self, job: Job) -> bool:
        if not job.needs_attention:
            return False
        assert [entry["target"] for entry in job.attention] == ["target-0"]
        other = Target.objects.get(service=self.service, name="target-1")
        assert not (self.running(other) or "").startswith("bad")
        self._is_mended = True
        operations.retry(job.job_id, by="sam")
        return True


ENDINGS: tuple[type[CrashCase], ...] = (FastRollbackCase, FirstCase, AttentionCase)
