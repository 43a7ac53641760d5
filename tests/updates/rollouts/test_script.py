"""A command of the node installs, by a contract of variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.updates.rollouts.conftest import run
from tests.updates.rollouts.scenes import Scene
from updates import operations
from updates.artifacts.installers import script
from updates.models import Job, Target

INSTALL = """
tar -xzf "$SAGA_ARTIFACT" -C "$SAGA_INSTALL_ROOT" VERSION &&
echo $SAGA_ACTION $SAGA_VERSION $SAGA_PREVIOUS_VERSION >> log && ! grep -q ^broken VERSION
"""


@pytest.fixture
def target(transactional_db: None, scene: Scene, settings: Settings) -> Target:
    service = scene.add_service("shop", targets=1)
    settings.SAGA_RESTART_COMMANDS = {"install-shop": ["/bin/sh", "-c", INSTALL]}
    target = Target.objects.get(service=service)
    target.installer = Target.Installer.COMMAND
    target.installer_options = {"command": "install-shop"}
    target.restart, target.health_url = Target.Restart.NONE, ""
    target.save()
    return target


def log_of(target: Target) -> list[str]:
    return (Path(target.install_root) / "log").read_text().splitlines()


def test_the_script_installs_and_rolls_back(scene: Scene, target: Target) -> None:
    run(scene.deploy(target.service, "1.0.0"))
    run(scene.deploy(target.service, "2.0.0"))

    job = run(operations.roll_back(target.service, by="sam"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert log_of(target) == ["install 1.0.0", "install 2.0.0 1.0.0", "install 1.0.0 2.0.0"]
    assert (Path(target.install_root) / "VERSION").read_text() == "1.0.0"


def test_a_script_that_fails_is_asked_to_restore(scene: Scene, target: Target) -> None:
    run(scene.deploy(target.service, "1.0.0"))

    job = run(scene.deploy(target.service, "broken-2"))

    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert log_of(target)[-1] == "restore 1.0.0 broken-2"
    assert (Path(target.install_root) / "VERSION").read_text() == "1.0.0"


def test_a_first_version_that_fails_may_still_run_without_a_stop_hook(
    scene: Scene, target: Target, settings: Settings
) -> None:
    job = run(scene.deploy(target.service, "broken-1"))
    target.hooks = {"stop": {"command": "stop-shop"}}
    target.save()
    stop = "echo stop $SAGA_VERSION >> log"
    settings.SAGA_RESTART_COMMANDS = {
        **settings.SAGA_RESTART_COMMANDS,
        "stop-shop": ["/bin/sh", "-c", stop],
    }
    again = run(scene.deploy(target.service, "broken-2"))

    assert (job.status, again.status) == (Job.Status.FAILED, Job.Status.FAILED)
    assert "broken-1 may still run on target-0: the target has no stop hook." in job.error
    assert "may still run" not in again.error
    assert log_of(target)[-1] == "stop broken-2"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"command": "install-shop", "timeout_seconds": 60}, None),
        ({}, "needs"),
        ({"command": ["sh"]}, "needs"),
        ({"command": "a", "user": "root"}, "needs"),
        ({"command": "a", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_options_that_name_no_command_are_refused(options: dict[str, Any], why: str | None) -> None:
    fault = script.fault(options)

    assert (fault is None) if why is None else (why in str(fault))
