"""Deployments by the whole stack, on two nodes, while what they stand on is killed, frozen or missing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from saga_project.local import parents
from tests import stack as stacks
from tests import waiting
from tests.updates.rollouts import crashing, scenes

pytestmark = pytest.mark.xdist_group("deployments")  # one worker, so that the stack is started once

FAR = "machine-7"
ADD_TARGETS = """
import json
from registry.operations import ensure_service
from updates.models import Target
for fields in json.loads({fields!r}):
    Target.objects.create(service=ensure_service({name!r}), drain_seconds=0, **fields)
"""
GROW_OLD = """
import datetime as dt
from django.utils import timezone
from updates.models import Job
from updates.rollouts import recovery
now = timezone.now()
Job.objects.filter(job_id={job_id!r}, waiting_since__isnull=False).update(
    waiting_since=now - recovery.NODE_DEADLINE - dt.timedelta(seconds=1), rang_at=now - recovery.RUNG_EVERY)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[stacks.Stack]:
    with stacks.running(SAGA_WEB_PROCESSES="1") as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[scenes.Scene]:
    with scenes.opened(tmp_path) as scene:
        yield scene


class FarNode:
    """A worker as on another machine: a queue, folders and a life of its own."""

    def __init__(self, stack: stacks.Stack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        own = {
            "SAGA_NODE_NAME": FAR,
            "SAGA_ARTIFACTS_DIR": str(self.folder / "artifacts"),
            "SAGA_BACKUPS_DIR": str(self.folder / "backups"),
            "SAGA_INSTALL_ROOT": str(self.folder / "services"),
        }
        options = [f"--hostname={FAR}@%h", f"--queues=node.{FAR}", "--pool=threads"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app=saga_project.celery", "worker", *options],
            cwd=stacks.ROOT,
            env=self._stack.environment | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=parents.end_with_parent,  # noqa: PLW1509 (one call)
        )

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def far(stack: stacks.Stack, tmp_path: Path) -> Iterator[FarNode]:
    node = FarNode(stack, tmp_path / FAR)
    node.start()
    yield node
    node.kill()


def add_targets(stack: stacks.Stack, name: str, *targets: dict[str, Any]) -> None:
    stack.manage("shell", "-c", ADD_TARGETS.format(name=name, fields=json.dumps(targets)))


def add_local_targets(stack: stacks.Stack, scene: scenes.Scene, name: str) -> list[Path]:
    """Two that are restarted and asked for their health by the scene's server; return their roots."""
    roots = [scene.folder / name / str(number) for number in range(2)]
    fields = [
        {
            "name": f"target-{number}",
            "position": number,
            "install_root": str(root),
            "instance_id": f"instance-{number}",
            "restart": "http",
            "restart_with": f"{scene.base_url}/restart/{name}/{number}",
            "health_url": f"{scene.base_url}/health/{name}/{number}",
            "health_successes": 1,
        }
        for number, root in enumerate(roots)
    ]
    add_targets(stack, name, *fields)
    return roots


def register(stack: stacks.Stack, name: str, instance_id: str) -> None:
    registration = {
        "service_name": name,
        "service_url": "http://127.0.0.1:9",
        "instance_id": instance_id,
        "ttl": 3600,
    }
    status, answer = stack.call("POST", "/api/v1/services/register", registration)
    assert status == 200, answer


def deploy(stack: stacks.Stack, scene: scenes.Scene, name: str, version: str) -> str:
    # What another service fetched before would not be fetched again.
    announcement = scene.announce(version, filler=name.encode())
    request = {
        "service_name": name,
        "version": version,
        "artifact_url": announcement.artifact_url,
        "checksum": announcement.checksum,
    }
    status, answer = stack.call("POST", "/api/v1/webhooks/deploy", request)
    assert status == 202, answer
    return str(answer["job_id"])


def wait_for_the_end(stack: stacks.Stack, job_id: str) -> dict[str, Any]:
    def end() -> dict[str, Any] | None:
        status, job = stack.call("GET", f"/api/v1/updates/jobs/{job_id}")
        is_over = status == 200 and job["status"] not in ("queued", "running", "paused")
        return job if is_over else None

    job = waiting.until(end, seconds=120)
    assert job is not None
    return job


def once(act: Callable[[], object]) -> Callable[[str], None]:
    """Act at the first call only."""
    calls: list[str] = []

    def hook(path: str) -> None:
        calls.append(path)
        if len(calls) == 1:
            act()

    return hook


@pytest.mark.parametrize("words", [["celery", "worker@"], ["postgres"], ["valkey-server"]])
def test_what_is_killed_in_the_middle_of_a_deployment_does_it_no_harm(
    stack: stacks.Stack, scene: scenes.Scene, words: list[str]
) -> None:
    """While the first target restarts: the supervisor starts again what was killed, and the job goes on."""
    name = f"shop-{words[-1].strip('@')}"
    roots = add_local_targets(stack, scene, name)
    assert wait_for_the_end(stack, deploy(stack, scene, name, "1.0.0"))["status"] == "succeeded"
    scene.on_restart = once(lambda: stack.kill(*words))

    job = wait_for_the_end(stack, deploy(stack, scene, name, "2.0.0"))

    assert (job["status"], job["error"]) == ("succeeded", None)
    assert [crashing.current(root) for root in roots] == ["2.0.0", "2.0.0"]


def test_a_deployment_that_has_begun_needs_no_redis_to_end_right(
    stack: stacks.Stack, scene: scenes.Scene
) -> None:
    roots = add_local_targets(stack, scene, "shop-alone")
    for number in range(len(roots)):
        register(stack, "shop-alone", f"instance-{number}")
    [redis] = stack.processes("valkey-server")
    scene.on_download = once(redis.suspend)
    try:
        job = wait_for_the_end(stack, deploy(stack, scene, "shop-alone", "1.0.0"))
    finally:
        redis.resume()

    assert (job["status"], job["error"]) == ("succeeded", None)
    assert [crashing.current(root) for root in roots] == ["1.0.0", "1.0.0"]
    undrained = [step["message"] for step in job["steps"] if step["name"] == "undrain"]
    assert ["Redis is not available" in message for message in undrained] == [True, True]


def test_a_deployment_asked_for_without_redis_begins_once_it_is_back(
    stack: stacks.Stack, scene: scenes.Scene
) -> None:
    roots = add_local_targets(stack, scene, "shop-asked")
    [redis] = stack.processes("valkey-server")
    redis.suspend()
    try:
        job_id = deploy(stack, scene, "shop-asked", "1.0.0")
    finally:
        redis.resume()
    job = wait_for_the_end(stack, job_id)

    assert (job["status"], job["error"]) == ("succeeded", None)
    assert [crashing.current(root) for root in roots] == ["1.0.0", "1.0.0"]


def test_another_node_does_its_steps_on_its_own_disk(
    stack: stacks.Stack, scene: scenes.Scene, far: FarNode, tmp_path: Path
) -> None:
    near_root = tmp_path / "near"
    add_targets(
        stack,
        "spread",
        {"name": "near", "position": 1, "install_root": str(near_root)},
        {"name": "far", "position": 2, "node": FAR},
    )
    for version in ("1.0.0", "2.0.0"):
        job = wait_for_the_end(stack, deploy(stack, scene, "spread", version))
        assert (job["status"], job["error"]) == ("succeeded", None)

    far_root = far.folder / "services" / "spread" / "far"
    assert [crashing.current(root) for root in (near_root, far_root)] == ["2.0.0", "2.0.0"]
    assert (far_root / "current" / "VERSION").read_text() == "2.0.0"
    assert (far.folder / "artifacts" / "spread" / "v2.0.0").is_file()
    assert (far.folder / "backups" / "spread" / "v1.0.0" / "release" / "VERSION").is_file()


def test_a_worker_of_another_node_takes_up_what_it_held_when_it_was_killed(
    stack: stacks.Stack, scene: scenes.Scene, far: FarNode
) -> None:
    add_targets(
        stack,
        "remote",
        {
            "name": "far",
            "node": FAR,
            "restart": "http",
            "restart_with": f"{scene.base_url}/restart/remote/0",
        },
    )

    is_reached, is_dead = threading.Event(), threading.Event()

    def wait_to_die() -> None:
        is_reached.set()
        is_dead.wait(60)

    scene.on_restart = once(wait_to_die)

    job_id = deploy(stack, scene, "remote", "1.0.0")
    assert is_reached.wait(60)
    far.kill()
    far.start()
    is_dead.set()
    job = wait_for_the_end(stack, job_id)

    assert (job["status"], job["error"]) == ("succeeded", None)
    assert crashing.current(far.folder / "services" / "remote" / "far") == "1.0.0"


def test_a_node_without_a_worker_fails_its_step_and_says_so(
    stack: stacks.Stack, scene: scenes.Scene
) -> None:
    add_targets(stack, "orphan", {"name": "far", "node": "machine-8"})
    job_id = deploy(stack, scene, "orphan", "1.0.0")

    def end() -> dict[str, Any] | None:
        stack.manage("shell", "-c", GROW_OLD.format(job_id=job_id))
        status, job = stack.call("GET", f"/api/v1/updates/jobs/{job_id}")
        return job if status == 200 and job["status"] == "failed" else None

    job = waiting.until(end, seconds=120)

    assert job is not None
    assert "No worker of node 'machine-8' took the step within 60 s" in job["error"]
