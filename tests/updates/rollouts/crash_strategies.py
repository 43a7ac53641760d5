"""Cases for the crash matrix by strategy, and with slots, instances, hooks, metrics and retries."""

from __future__ import annotations

import shutil
from pathlib import Path

from registry import directory
from tests.updates.rollouts import crashing
from tests.updates.rollouts.crash_cases import CrashCase
from updates.artifacts.installers.hooks import Hook
from updates.models import HistoryEntry, Job, Policy, Target

SHELL = ["/bin/sh", "-c"]
#: Each line of a hook's log: the hook, its version, and what was current then.
LOG = "echo $0 $SAGA_VERSION $(readlink current | cut -d/ -f2) >> $SAGA_INSTALL_ROOT/log"
BUILD = "cd {release_dir}/.build && cp ../VERSION half && mv half made"
COMMANDS: dict[str, list[str]] = {
    **{f"log-{hook}": [*SHELL, LOG, hook] for hook in Hook},
    "build": [*SHELL, BUILD],
}


class CanaryCase(CrashCase):
    name = "canary"
    strategy = "canary"
    options = {"steps": [{"weight": 34, "pause_seconds": 1}]}


class ExpiringCase(CrashCase):
    """A good canary that is not promoted in time goes back."""

    name = "expiry"
    strategy = "canary"
    options = {"steps": [{"weight": 50, "pause_seconds": None, "expires_after": 60}]}

    def good_end(self) -> str:
        return "rolled_back"


class WavesCase(CrashCase):
    """Two waves with a pause; the first target may fail, and goes back alone."""

    name = "waves"
    targets = 3
    options = {
        "waves": [
            {"labels": {"ring": "a"}, "error_threshold": 1, "pause_seconds": 1},
            {"labels": {"ring": "b"}, "success_threshold": 1},
        ]
    }

    def set_up(self) -> None:
        for target, ring in zip(self.service.targets.all(), "aab", strict=True):
            target.labels = {"ring": ring}
            target.hooks = {"after_healthy": {"command": "log-after_healthy"}}
            target.save()


class PartialWavesCase(WavesCase):
    """One target fails each time, within its wave's threshold: it is restored, and the others go on."""

    name = "partial"
    kinds = ("good",)
    _first = ""

    def set_up(self) -> None:
        super().set_up()
        self.scene.running = self._healthy_version

    def _healthy_version(self, name: str, number: str) -> str | None:
        version = crashing.current(self.scene.folder / name / number)
        return "bad" if number == "0" and self._first not in ("", version) else version

    def install(self, version: str) -> str:
        super().install(version)
        self._first = version
        return version

    def check_alive(self, job: Job, *, before: str) -> None:
        for target in self.installed():
            self.check_target(target, allowed={self._first, before, job.version})

    def check(self, job: Job, *, before: str, is_good: bool) -> str:
        assert job.status == "succeeded", f"{job.status}: {job.error}"
        assert [failed["target"] for failed in job.failed_targets] == ["target-0"]
        runs = [self.running(target) for target in self.installed()]
        assert runs == [self._first, job.version, job.version]
        assert HistoryEntry.objects.filter(job_id=job.job_id).count() == 1
        return job.version


class HooksCase(CrashCase):
    """All hooks: a build before the drain, a migration once, and a line in a log for the others."""

    name = "hooks"
    walked = (("after_unpack", "good"), ("before_switch", "good"))

    def set_up(self) -> None:
        named = {str(hook): {"command": f"log-{hook}"} for hook in Hook}
        named[Hook.AFTER_UNPACK] = {"command": "build"}
        self.service.targets.update(hooks=named)

    def ask(self, version: str) -> Job:
        for target in self.installed():
            (Path(target.install_root) / "log").unlink(missing_ok=True)
        return super().ask(version)

    def check_target(self, target: Target, *, allowed: set[str | None]) -> None:
        super().check_target(target, allowed=allowed)
        made = Path(target.install_root) / "current" / ".build" / "made"
        assert made.read_text() == self.running(target), "what runs was not built"

    def check_end(self, job: Job, *, before: str, is_good: bool) -> None:
        first, *others = [self._log_of(target) for target in self.worked_on(job)]
        migrations = [line for line in first if line[0] == "before_switch"]
        assert migrations, "before_switch did not run"
        assert {tuple(line[1:]) for line in migrations} == {(job.version, before)}
        assert all(line[0] != "before_switch" for log in others for line in log)
        last = ["after_healthy", job.version, job.version]
        if not is_good:
            last = ["after_rollback", before, before]
        assert first[-1] == last, f"the last hook was {first[-1]}"

    def _log_of(self, target: Target) -> list[list[str]]:
        path = Path(target.install_root) / "log"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


class InstancesCase(CrashCase):
    """One target that lists three instances."""

    name = "instances"
    targets = 1

    def set_up(self) -> None:
        target = self.service.targets.get()
        folder = self.scene.folder / self.service.name
        shutil.rmtree(folder)
        target.install_root = str(folder / "{port}")
        target.restart_with = f"{self.scene.base_url}/restart/{self.service.name}/{{port}}"
        target.health_url = f"{self.scene.base_url}/health/{self.service.name}/{{port}}"
        target.instances = [{"id": f"one-{port}", "port": port} for port in (8001, 8002, 8003)]
        target.save()


class SlotsCase(CrashCase):
    """Blue-green: the lookups of one slot or of the other, at any moment."""

    name = "blue-green"
    walked = (("swap", "good"),)
    strategy = "blue-green"
    options = {"scale_down_delay_seconds": 1}
    targets = 4
    allowed_out = 2

    def set_up(self) -> None:
        for target, slot in zip(
            self.service.targets.all(), ("blue", "blue", "green", "green"), strict=True
        ):
            target.slot = slot
            target.save()

    def install(self, version: str) -> str:
        """Both slots run something, so that each has a version to report."""
        job = crashing.bring_to_an_end(self.deploy(f"{super().install(version)}.1"))
        assert job.status == "succeeded", f"{job.status}: {job.error}"
        return job.version

    def _serving(self) -> list[Target]:
        return list(self.service.targets.filter(is_standby=False))

    def restarted(self, path: str) -> None:
        number = path.rpartition("/")[2]
        version = crashing.current(self.scene.folder / self.service.name / number)
        crashing.in_a_transaction_of_its_own(
            lambda: self.register(f"instance-{number}", version or "", int(number))
        )

    def check_alive(self, job: Job, *, before: str) -> None:
        for target in self.worked_on(job):
            if version := self.running(target):
                crashing.check_current_is_whole(target, allowed={version})
        self._check_lookups({before, job.version})

    def _check_lookups(self, allowed: set[str]) -> None:
        entry = directory.get(self.service.name)
        assert entry is not None
        found = [directory.chosen(entry) for _ in range(20)]
        slots = {int(each.instance_id[-1]) // 2 for each in found if each is not None}
        assert len(slots) == 1, f"lookups found the slots {slots}"
        numbers = {int(each.instance_id[-1]) for each in found if each is not None}
        for number in numbers:
            version = crashing.current(self.scene.folder / self.service.name / str(number))
            assert version in allowed, f"lookups found {version}, not one of {allowed}"

    def check(self, job: Job, *, before: str, is_good: bool) -> str:
        status = "succeeded" if is_good else "rolled_back"
        assert job.status == status, f"{job.status}: {job.error}"
        version = job.version if is_good else before
        assert {self.running(target) for target in self._serving()} == {version}
        self._check_lookups({version})
        assert HistoryEntry.objects.filter(job_id=job.job_id).count() == 1
        return version


class MetricsCase(CrashCase):
    """Nothing but a number that the service shows of itself says that a version is bad."""

    name = "metrics"
    strategy = "canary"
    options = {"steps": [{"weight": 50, "pause_seconds": 1}]}

    def set_up(self) -> None:
        self.service.targets.update(health_url="")
        metric = {
            "name": "errors",
            "source": "http",
            "url": f"{self.scene.base_url}/figures/{self.service.name}",
            "pointer": "/errors",
            "maximum": 0,
            "interval": 1,
        }
        Policy.objects.update_or_create(service=self.service, defaults={"metrics": [metric]})


class RetriesCase(CrashCase):
    """Each download and each restart is refused once, and then done."""

    name = "retries"

    def ask(self, version: str) -> Job:
        job = super().ask(version)
        self.scene.refusals[f"/artifacts/{version}.tar.gz"] = 1
        for number in range(self.targets):
            self.scene.refusals[f"/restart/{self.service.name}/{number}"] = 1
        return job
