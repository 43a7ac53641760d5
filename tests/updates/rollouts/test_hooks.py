"""Hooks of a target: when each runs, what it is given, and what its failure means."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts.conftest import run
from tests.updates.rollouts.scenes import Scene
from updates import operations
from updates.artifacts.installers import hooks
from updates.models import Job, Release, Step, Target

LOG = ["/bin/sh", "-c", "echo $0 $SAGA_VERSION $SAGA_PREVIOUS_VERSION >> $SAGA_INSTALL_ROOT/log"]


@pytest.fixture
def targets(transactional_db: None, scene: Scene, settings: Settings) -> list[Target]:
    """Two targets with hooks that write a line into the log of their root."""
    service = scene.add_service("shop", targets=2)
    commands = {f"log-{hook}": [*LOG, hook] for hook in hooks.Hook}
    settings.SAGA_RESTART_COMMANDS = {
        **commands,
        "fail": ["/bin/sh", "-c", "echo no luck; exit 1"],
        "hang": ["/bin/sh", "-c", "echo waiting for it; sleep 60"],
        "build": [
            "/bin/sh",
            "-c",
            "cat {release_dir}/VERSION > {release_dir}/.build/made; echo x >> builds",
        ],
    }
    named = {str(hook): {"command": f"log-{hook}"} for hook in hooks.Hook}
    Target.objects.filter(service=service).update(hooks=named)
    return list(Target.objects.filter(service=service))


def change(targets: list[Target], **hooks_by_name: Any) -> None:
    for target in targets:
        target.hooks = {**target.hooks, **hooks_by_name}
        target.save()


def log_of(target: Target) -> list[str]:
    path = Path(target.install_root) / "log"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def steps_of(job: Job) -> list[str]:
    return [str(step) for step in job.steps.filter(status=Step.Status.SUCCEEDED)]


def test_each_hook_has_its_place(scene: Scene, targets: list[Target]) -> None:
    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    done = steps_of(job)
    assert done.count("before_switch target-0") == 1
    assert "before_switch target-1" not in done
    order = ["unpack target-1", "after_unpack target-1", "before_switch target-0", "drain target-0"]
    order += ["switch target-0", "health target-0", "after_healthy target-0", "undrain target-0"]
    assert [name for name in done if name in order] == order
    assert log_of(targets[0]) == [
        "after_unpack 1.0.0",
        "before_switch 1.0.0",
        "after_healthy 1.0.0",
    ]
    assert log_of(targets[1]) == ["after_unpack 1.0.0", "after_healthy 1.0.0"]


def test_a_rollback_runs_its_own_hook(scene: Scene, targets: list[Target]) -> None:
    run(scene.deploy(targets[0].service, "1.0.0"))
    run(scene.deploy(targets[0].service, "2.0.0"))

    job = run(operations.roll_back(targets[0].service, by="sam"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert log_of(targets[1])[-1] == "after_rollback 1.0.0 2.0.0"


def test_a_failed_deployment_runs_the_hook_of_the_version_that_came_back(
    scene: Scene, targets: list[Target]
) -> None:
    run(scene.deploy(targets[0].service, "1.0.0"))

    job = run(scene.deploy(targets[0].service, "bad-2"))

    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert log_of(targets[0])[-1] == "after_rollback 1.0.0 bad-2"


def test_a_failed_preparation_touches_nothing(scene: Scene, targets: list[Target]) -> None:
    change(targets, after_unpack={"command": "fail"})

    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert job.status == Job.Status.FAILED
    assert "after_unpack target-0" in job.error
    assert "no luck" in job.error
    assert not [step for step in steps_of(job) if step.startswith(("drain", "switch"))]


@pytest.mark.parametrize("name", [".build", ".build/made"])
def test_an_artifact_that_holds_the_folder_of_the_build_is_refused(
    scene: Scene, targets: list[Target], name: str
) -> None:
    announcement = replace(scene.announce("1.0.0"), checksum="")
    files = {"VERSION": b"1.0.0", name: b"x"}
    scene.artifacts["/artifacts/1.0.0.tar.gz"] = hostile.good_tar_gz(files)

    job = run(scene.deploy_announced(targets[0].service, announcement))

    assert job.status == Job.Status.FAILED
    assert "The artifact holds .build" in job.error


def test_a_failed_migration_touches_nothing(scene: Scene, targets: list[Target]) -> None:
    change(targets, before_switch={"command": "fail"})

    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert job.status == Job.Status.FAILED
    assert not [step for step in steps_of(job) if step.startswith(("drain", "switch"))]


def test_a_failure_after_the_gate_rolls_back(scene: Scene, targets: list[Target]) -> None:
    run(scene.deploy(targets[0].service, "1.0.0"))
    change(targets, after_healthy={"command": "fail"})

    job = run(scene.deploy(targets[0].service, "2.0.0"))

    assert job.status == Job.Status.ROLLED_BACK, job.error


def test_a_failing_hook_does_not_stop_the_rollback(scene: Scene, targets: list[Target]) -> None:
    run(scene.deploy(targets[0].service, "1.0.0"))
    change(targets, after_rollback={"command": "fail"})

    job = run(scene.deploy(targets[0].service, "bad-2"))

    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert job.steps.filter(name="after_rollback", status=Step.Status.FAILED).exists()


def test_a_hook_has_a_timeout_of_its_own(scene: Scene, targets: list[Target]) -> None:
    change(targets, before_switch={"command": "hang", "timeout_seconds": 1})

    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert "did not end within 1 s. Its last output: waiting for it" in job.error


def test_a_first_deployment_that_fails_stops_what_it_started(
    scene: Scene, targets: list[Target]
) -> None:
    job = run(scene.deploy(targets[0].service, "bad-1"))

    assert job.status == Job.Status.FAILED
    assert log_of(targets[0])[-1] == "stop bad-1"


def test_a_first_deployment_that_cannot_stop_what_it_started_says_so(
    scene: Scene, targets: list[Target]
) -> None:
    for target in targets:
        target.hooks = {}
        target.save()

    job = run(scene.deploy(targets[0].service, "bad-1"))

    assert job.status == Job.Status.FAILED
    assert "bad-1 may still run on target-0" in job.error


def test_what_a_release_is_prepared_with_is_kept_apart_from_its_files(
    scene: Scene, targets: list[Target]
) -> None:
    """Once for each release on disk, and anew where that was put back from its backup."""
    change(targets, after_unpack={"command": "build"})
    service, root = targets[0].service, Path(targets[0].install_root)
    run(scene.deploy(service, "1.0.0"))
    run(scene.deploy(service, "2.0.0"))
    assert (root / "current" / ".build" / "made").read_text() == "2.0.0"

    run(operations.roll_back(service, by="sam"))
    assert (root / "builds").read_text() == "x\nx\n"

    Release.objects.update(state=Release.State.AVAILABLE)
    (root / "releases" / "2.0.0" / "VERSION").unlink()
    job = run(scene.deploy(service, "2.0.0"))
    assert job.status == Job.Status.SUCCEEDED, job.error
    assert (root / "current" / ".build" / "made").read_text() == "2.0.0"
    assert (root / "builds").read_text() == "x\nx\nx\n"


def test_a_hook_may_be_a_call(scene: Scene, targets: list[Target], httpserver: HTTPServer) -> None:
    httpserver.expect_request("/migrate/shop/1.0.0", method="POST").respond_with_data("14 done")
    url = f"{httpserver.url_for('/migrate')}/{{service}}/{{version}}"
    change(targets, before_switch={"url": url})

    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    [(request, _)] = httpserver.log
    body = json.loads(request.data)
    assert (body["hook"], body["service"], body["version"]) == ("before_switch", "shop", "1.0.0")
    step = job.steps.get(name="before_switch")
    assert step.message == "The hook before_switch answered 200. Its last output: 14 done"


def test_a_call_that_refuses_fails_the_step(
    scene: Scene, targets: list[Target], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/migrate").respond_with_data("locked", status=423)
    change(targets, before_switch={"url": httpserver.url_for("/migrate")})

    job = run(scene.deploy(targets[0].service, "1.0.0"))

    assert job.status == Job.Status.FAILED
    assert "The hook before_switch answered 423. Its last output: locked" in job.error


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, None),
        (
            {"stop": {"command": "x"}, "after_unpack": {"url": "http://a/", "timeout_seconds": 9}},
            None,
        ),
        ([], "JSON object"),
        ({"before_lunch": {"command": "x"}}, "is no hook"),
        ({"stop": "x"}, "is an object"),
        ({"stop": {"command": "x", "user": "root"}}, "is an object"),
        ({"stop": {}}, "either a command"),
        ({"stop": {"command": "x", "url": "http://a/"}}, "either a command"),
        ({"stop": {"command": ["x"]}}, "either a command"),
        ({"stop": {"command": "x", "timeout_seconds": 0}}, "timeout_seconds from 1"),
        ({"stop": {"command": "x", "timeout_seconds": True}}, "timeout_seconds from 1"),
    ],
)
def test_hooks_that_could_not_run_are_refused(values: object, why: str | None) -> None:
    fault = hooks.fault(values)

    assert (fault is None) if why is None else (why in str(fault))
