"""Cases for the crash matrix with the installers that start what they install."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.updates.rollouts import fake_engine, fake_systemd
from tests.updates.rollouts.crash_cases import CrashCase
from tests.updates.rollouts.crash_strategies import SHELL
from updates import operations
from updates.models import Job, Target
from updates.releases import recording

DIGEST = f"sha256:{'a' * 64}"
#: An install script that keeps the version in a file, put in place by one rename.
INSTALL = """
if [ $SAGA_ACTION = install ]; then
    tar -xzOf $SAGA_ARTIFACT VERSION > .new || exit 1
else
    printf %s $SAGA_VERSION > .new
fi
mv .new VERSION
"""
COMMANDS = {"install": [*SHELL, INSTALL]}


class SystemdCase(CrashCase):
    """The unit is another with each version: it must be loaded, enabled, and run by its own variables."""

    name = "systemd"
    walked = (("switch", "good"), ("restore", "bad"))

    def set_up(self) -> None:
        folder = self.scene.folder / "systemd"
        self._state = folder / "state"
        self._units = folder / "units"
        fake_systemd.install(self.scene.folder / "bin", state=self._state, units=self._units)
        self.service.targets.update(
            installer=Target.Installer.SYSTEMD,
            installer_options={
                "exec_start": "{current}/bin/run {version}",
                "unit_folder": str(self._units),
            },
            restart=Target.Restart.NONE,
            restart_with="",
        )

    def check_end(self, job: Job, *, before: str, is_good: bool) -> None:
        version = job.version if is_good else before
        for target in self.installed():
            unit = f"saga-{self.service.name}-{target.name}.service"
            command, runs, variable = (self._state / "active" / unit).read_text().splitlines()
            assert command.endswith(f"/bin/run {version}"), f"{unit} runs {command}"
            assert (runs, variable) == (version, f'SAGA_VERSION="{version}"')
            assert (self._state / "enabled" / unit).exists(), f"{unit} is not enabled"
        assert not list(self._units.glob(".part-*")), "a part of a unit was left behind"


class ScriptCase(CrashCase):
    name = "command"
    walked = (("switch", "good"), ("restore", "bad"))

    def set_up(self) -> None:
        self.service.targets.update(
            installer=Target.Installer.COMMAND,
            installer_options={"command": "install"},
            restart=Target.Restart.NONE,
            restart_with="",
        )
        self.scene.running = self._version_of

    def _version_of(self, name: str, number: str) -> str | None:
        path = self.scene.folder / name / number / "VERSION"
        return path.read_text() if path.exists() else None

    def running(self, target: Target) -> str | None:
        return self._version_of(self.service.name, Path(target.install_root).name)

    def check_target(self, target: Target, *, allowed: set[str | None]) -> None:
        version = self.running(target)
        assert version in allowed, f"{target.name} has {version}, not one of {allowed}"


class ContainerCase(CrashCase):
    """One container of each name, which runs; the one that it replaced is kept until the job is over."""

    name = "container"
    walked = (("switch", "good"), ("restore", "bad"))

    def set_up(self) -> None:
        self._state, _ = fake_engine.install(self.scene.folder / "bin")
        for number, target in enumerate(self.service.targets.all()):
            target.installer = Target.Installer.CONTAINER
            target.installer_options = {"ports": [f"127.0.0.1:{8100 + number}:80"]}
            target.restart, target.restart_with = Target.Restart.NONE, ""
            target.save()
        self.scene.running = self._version_of

    def deploy(self, version: str, *, options: Any = None) -> Job:
        announcement = recording.Announcement(
            version=version,
            artifact_url=f"registry.example/acme/shop:{version}",
            artifact_type="image",
            checksum=DIGEST,
        )
        return operations.deploy(
            self.service, announcement, by="ci", options=dict(options or self.options)
        )

    def _containers(self) -> dict[str, Any]:
        return dict(json.loads(self._state.read_text())) if self._state.exists() else {}

    def _version_of(self, name: str, number: str) -> str | None:
        one = self._containers().get(f"saga-{name}-target-{number}")
        return one["labels"]["saga.version"] if one and one["running"] else None

    def running(self, target: Target) -> str | None:
        return self._version_of(self.service.name, Path(target.install_root).name)

    def check_target(self, target: Target, *, allowed: set[str | None]) -> None:
        """Between two calls of the engine nothing runs under the name: its instance is drained then."""
        version = self.running(target)
        assert version in {*allowed, None}, f"{target.name} has {version}, not one of {allowed}"

    def check_end(self, job: Job, *, before: str, is_good: bool) -> None:
        version = job.version if is_good else before
        names = {f"saga-{self.service.name}-{target.name}": target for target in self.installed()}
        assert {self.running(target) for target in names.values()} == {version}
        assert set(self._containers()) == set(names), f"containers: {sorted(self._containers())}"


@contextmanager
def programs(folder: Path) -> Iterator[None]:
    """Have commands find the programs of the cases."""
    with mock.patch.dict(os.environ, {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}):
        yield


INSTALLERS: tuple[type[CrashCase], ...] = (SystemdCase, ScriptCase, ContainerCase)
