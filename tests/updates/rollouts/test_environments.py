"""What a target declares for its commands is kept with each deployment, and comes back with a rollback."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from tests.updates.rollouts.conftest import run
from tests.updates.rollouts.scenes import Scene
from updates import operations
from updates.models import DeployedEnvironment, Job, Target
from updates.rollouts import environments


@pytest.fixture
def target(transactional_db: None, scene: Scene, settings: Settings) -> Target:
    """Its restart command writes down what it was given, and fails where the test says so."""
    service = scene.add_service("shop", targets=1)
    script = 'echo "$SAGA_VERSION $MODE $TOKEN" >> started; [ "$MODE" != broken ]'
    settings.SAGA_RESTART_COMMANDS = {"shop": ["/bin/sh", "-c", script]}
    target = Target.objects.get(service=service)
    target.restart, target.restart_with = Target.Restart.COMMAND, "shop"
    target.save()
    return target


def declare(target: Target, mode: str, token: str) -> None:
    target.environment = {"MODE": mode}
    target.sealed_environment = environments.seal({"TOKEN": token})
    target.save()


def started(target: Target) -> list[str]:
    return (Path(target.install_root) / "started").read_text().splitlines()


def test_a_rollback_starts_a_version_with_what_it_ran_with(scene: Scene, target: Target) -> None:
    declare(target, "old", "first")
    run(scene.deploy(target.service, "1.0.0"))
    declare(target, "new", "second")
    run(scene.deploy(target.service, "2.0.0"))

    run(operations.roll_back(target.service, by="sam"))

    assert started(target) == ["1.0.0 old first", "2.0.0 new second", "1.0.0 old first"]


def test_a_failed_deployment_restores_the_environment_before_it(
    scene: Scene, target: Target
) -> None:
    declare(target, "old", "first")
    run(scene.deploy(target.service, "1.0.0"))
    declare(target, "broken", "second")

    job = run(scene.deploy(target.service, "2.0.0"))

    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert started(target)[-2:] == ["2.0.0 broken second", "1.0.0 old first"]


def test_a_failed_deployment_of_the_same_version_restores_the_environment_before_it(
    scene: Scene, target: Target
) -> None:
    declare(target, "old", "first")
    run(scene.deploy(target.service, "1.0.0"))
    declare(target, "broken", "second")

    run(scene.deploy(target.service, "1.0.0"))

    assert started(target) == ["1.0.0 old first", "1.0.0 broken second", "1.0.0 old first"]


def test_what_is_declared_while_a_deployment_runs_is_for_the_next(
    scene: Scene, target: Target
) -> None:
    declare(target, "old", "first")

    def change(_path: str) -> None:
        declare(target, "new", "second")
        connection.close()  # of the server's thread

    scene.on_download = change

    run(scene.deploy(target.service, "1.0.0"))

    assert started(target) == ["1.0.0 old first"]


def test_sealed_values_are_stored_encrypted(scene: Scene, target: Target) -> None:
    declare(target, "old", "s3cret")

    run(scene.deploy(target.service, "1.0.0"))

    kept = DeployedEnvironment.objects.get(target=target)
    assert kept.environment == {"MODE": "old"}
    assert "s3cret" not in kept.sealed_environment
    assert environments.unseal(kept.sealed_environment) == {"TOKEN": "s3cret"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"A": "b", "_x1": ""}, None),
        (["A"], "JSON object"),
        ({"1A": "b"}, "not the name"),
        ({"A B": "b"}, "not the name"),
        ({"A": 1}, "must be a text"),
        ({"A": "\0"}, "must be a text"),
        ({"SAGA_VERSION": "9"}, "set by Saga"),
        ({f"A{number}": "" for number in range(201)}, "at most 200"),
    ],
)
def test_names_and_values_that_no_command_can_get_are_refused(
    values: object, why: str | None
) -> None:
    fault = environments.fault(values)

    assert (fault is None) if why is None else (why in str(fault))
