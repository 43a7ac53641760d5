"""A target as a systemd unit: written, reloaded, restarted, and stopped where nothing ran before.

systemd does not run here: the calls go to a program that keeps units as it does, and a list of the calls.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.updates.rollouts import fake_systemd
from tests.updates.rollouts.conftest import run
from tests.updates.rollouts.scenes import Scene
from updates.artifacts.installers import systemd
from updates.models import Job, Target
from updates.rollouts import environments

UNIT = "saga-shop-target-0.service"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    fake_systemd.install(folder, state=tmp_path / "state", units=tmp_path / "units")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "state" / "calls"


def changes(calls: Path) -> list[str]:
    """Return the calls that change something."""
    return [line for line in calls.read_text().splitlines() if not line.startswith("show ")]


@pytest.fixture
def target(transactional_db: None, scene: Scene, calls: Path, tmp_path: Path) -> Target:
    target = Target.objects.get(service=scene.add_service("shop", targets=1))
    target.installer, target.restart = Target.Installer.SYSTEMD, Target.Restart.NONE
    target.installer_options = {
        "exec_start": "{current}/bin/run --instance {instance}",
        "user": "shop",
        "unit_folder": str(tmp_path / "units"),
    }
    target.environment = {"GREETING": 'say "hello" to $USER'}
    target.sealed_environment = environments.seal({"TOKEN": "s3cret"})
    target.save()
    return target


def test_a_unit_is_written_and_restarted(
    scene: Scene, target: Target, calls: Path, tmp_path: Path
) -> None:
    job = run(scene.deploy(target.service, "1.0.0"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    unit = (tmp_path / "units" / UNIT).read_text()
    root = Path(target.install_root)
    assert f"ExecStart={root}/current/bin/run --instance instance-0\n" in unit
    assert "User=shop\n" in unit
    assert "s3cret" not in unit
    environment = root / "environment"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    lines = environment.read_text().splitlines()
    assert {r'GREETING="say \"hello\" to \$USER"', 'TOKEN="s3cret"', 'SAGA_VERSION="1.0.0"'} <= set(
        lines
    )
    assert changes(calls) == [f"enable -- {UNIT}", f"restart -- {UNIT}"]


def test_a_next_version_restarts_the_unit_as_it_is(
    scene: Scene, target: Target, calls: Path
) -> None:
    run(scene.deploy(target.service, "1.0.0"))
    calls.unlink()

    run(scene.deploy(target.service, "2.0.0"))

    assert changes(calls) == [f"restart -- {UNIT}"]
    assert (Path(target.install_root) / "current" / "VERSION").read_text() == "2.0.0"


def test_a_unit_that_changed_is_loaded_anew(scene: Scene, target: Target, calls: Path) -> None:
    """Also where a worker wrote it and was killed before it could say so."""
    run(scene.deploy(target.service, "1.0.0"))
    calls.unlink()
    target.installer_options = {**target.installer_options, "exec_start": "{current}/bin/other"}
    target.save()
    unit = calls.parent.parent / "units" / UNIT
    unit.write_text(unit.read_text().replace("run --instance instance-0", "other"))

    run(scene.deploy(target.service, "2.0.0"))

    assert changes(calls) == ["daemon-reload", f"restart -- {UNIT}"]


def test_a_bad_version_makes_way_for_the_one_before(
    scene: Scene, target: Target, calls: Path
) -> None:
    run(scene.deploy(target.service, "1.0.0"))

    job = run(scene.deploy(target.service, "bad-2"))

    assert job.status == Job.Status.ROLLED_BACK, job.error
    environment = (Path(target.install_root) / "environment").read_text()
    assert 'SAGA_VERSION="1.0.0"' in environment
    assert calls.read_text().splitlines()[-1] == f"restart -- {UNIT}"


def test_a_bad_first_version_is_stopped(scene: Scene, target: Target, calls: Path) -> None:
    job = run(scene.deploy(target.service, "bad-1"))

    assert job.status == Job.Status.FAILED
    assert calls.read_text().splitlines()[-1] == f"disable --now -- {UNIT}"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"exec_start": "{current}/bin/run", "is_user_unit": True}, None),
        ({}, "needs exec_start"),
        ({"exec_start": "a\nExecStartPre=evil"}, "one line"),
        ({"exec_start": "a", "user": "a b"}, "no user"),
        ({"exec_start": "a", "is_user_unit": 1}, "true or false"),
        ({"exec_start": "a", "type": "notify"}, "Unknown option"),
    ],
)
def test_options_that_make_no_unit_are_refused(options: dict[str, Any], why: str | None) -> None:
    fault = systemd.fault(options)

    assert (fault is None) if why is None else (why in str(fault))
