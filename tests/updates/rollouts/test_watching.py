"""Switched instances are watched until the job ends; the instances are processes of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from registry import operations as registry
from registry.models import Instance, Service
from saga_project.local.embedded import processes
from tests import waiting
from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job, Step, Target, Watch
from updates.releases import recording
from updates.rollouts import watching

pytestmark = pytest.mark.usefixtures("redis")

#: Serves its health; a release with END exits once that file with the process's port behind is there.
PROGRAM = b"""
import http.server, os, pathlib, sys, threading, time
here = pathlib.Path(sys.argv[0]).parent
end = (here / "END").read_text()
def wait():
    while not os.path.exists(end + sys.argv[1]):
        time.sleep(0.05)
    os._exit(1)
if end:
    threading.Thread(target=wait, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if not (here / "SICK").exists() else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass
class Fleet:
    """A process for each target; restarting one runs what is current there."""

    scene: scenes.Scene
    ports: list[int]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def root(self, number: int) -> Path:
        return self.scene.folder / "shop" / str(number)

    def restart(self, path: str) -> None:
        number = int(path.rsplit("/", 1)[1])
        self.kill(number)
        program = self.root(number) / "current" / "serve.py"
        self.processes[number] = subprocess.Popen(
            [sys.executable, str(program), str(self.ports[number])]
        )

    def kill(self, number: int) -> None:
        process = self.processes.pop(number, None)
        if process is not None:
            process.kill()
            process.wait()

    def end_gated(self) -> None:
        """End the first target's process of a release with END, once its health was found good."""
        health = Step.objects.filter(name="health", target_name="target-0", status="succeeded")
        if health.filter(job__version="2.0.0").exists():
            Path(f"{self.end}{self.ports[0]}").touch()

    @property
    def end(self) -> str:
        return str(self.scene.folder / "end-")

    def versions(self) -> list[str | None]:
        return [crashing.current(self.root(number)) for number in range(len(self.ports))]


@pytest.fixture
def fleet(scene: scenes.Scene) -> Iterator[Fleet]:
    fleet = Fleet(scene, [processes.any_free_port() for _ in range(3)])
    scene.on_restart = fleet.restart
    yield fleet
    for number in range(3):
        fleet.kill(number)


@pytest.fixture
def shop(transactional_db: None, fleet: Fleet, settings: Settings) -> Service:
    """Version 1.0.0 runs as three processes."""
    shop = fleet.scene.add_service("shop", targets=3)
    for target, port in zip(shop.targets.all(), fleet.ports, strict=True):
        target.health_url = f"http://127.0.0.1:{port}/"
        target.healthy_deadline_seconds = 60
        target.save()
    job = run(operations.deploy(shop, announce(fleet.scene, "1.0.0"), by="ci"))
    assert job.status == "succeeded", job.error
    return shop


def announce(scene: scenes.Scene, version: str, *, end: str = "") -> recording.Announcement:
    files = {"VERSION": version.encode(), "serve.py": PROGRAM, "END": end.encode()}
    scene.artifacts[f"/artifacts/{version}.tar.gz"] = hostile.good_tar_gz(files)
    return recording.Announcement(
        version=version, artifact_url=f"{scene.base_url}/artifacts/{version}.tar.gz"
    )


def rounds() -> AbstractContextManager[None]:
    """Make a round every half second, as the beat has a worker do."""
    return meanwhile(round_of_each_job, every_seconds=0.5)


@contextmanager
def meanwhile(act: Callable[[], None], *, every_seconds: float) -> Iterator[None]:
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(every_seconds):
            crashing.in_a_transaction_of_its_own(act)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def round_of_each_job() -> None:
    for pk in Job.objects.live().values_list("pk", flat=True):
        watching.make_round(pk, node="local")


@pytest.fixture(autouse=True)
def no_rest_between_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ROUND_SECONDS", 0.1)
    monkeypatch.setattr(watching, "FRESH", watching.FRESH / 20)


def test_a_release_that_exits_after_its_gate_is_rolled_back_on_all_targets(
    fleet: Fleet, shop: Service
) -> None:
    """The first target's process is dead before the last one is drained, or dies in the bake."""
    bad = announce(fleet.scene, "2.0.0", end=fleet.end)

    with rounds(), meanwhile(fleet.end_gated, every_seconds=0.1):
        job = run(operations.deploy(shop, bad, by="ci", options={"bake_seconds": 30}))

    assert job.status == "rolled_back", job.error
    assert "is not well after its switch (3 times in a row)" in job.error
    assert fleet.versions() == ["1.0.0"] * 3
    assert job.steps.get(name="bake").status != "succeeded"


def test_one_target_is_watched_while_the_rollout_bakes(fleet: Fleet, shop: Service) -> None:
    Target.objects.exclude(name="target-0").delete()
    bad = announce(fleet.scene, "2.0.0", end=fleet.end)

    with meanwhile(fleet.end_gated, every_seconds=0.1):
        job = run(operations.deploy(shop, bad, by="ci", options={"bake_seconds": 30}))

    assert job.status == "rolled_back", job.error
    assert fleet.versions()[0] == "1.0.0"


def test_a_good_release_is_checked_again_before_the_end(fleet: Fleet, shop: Service) -> None:
    good = announce(fleet.scene, "2.0.0")

    job = run(operations.deploy(shop, good, by="ci", options={"bake_seconds": 1}))

    assert job.status == "succeeded", job.error
    assert job.steps.get(name="bake").message == "All 3 watched targets are well."
    assert Watch.objects.filter(job=job, is_well=True, failures=0).count() == 3


def canary(fleet: Fleet, shop: Service) -> Job:
    job = run(
        operations.deploy(
            shop,
            announce(fleet.scene, "2.0.0"),
            by="ci",
            strategy="canary",
            options={"steps": [{"weight": 34, "pause_seconds": None}]},
        )
    )
    assert job.status == "paused", job.error
    return job


def test_a_canary_that_gets_sick_in_its_pause_is_rolled_back_while_it_waits(
    fleet: Fleet, shop: Service
) -> None:
    job = canary(fleet, shop)
    (fleet.root(0) / "current" / "SICK").touch()

    with rounds():
        waiting.until(lambda: Job.objects.get(pk=job.pk).status == "rolling_back")
    run(job)

    assert job.status == "rolled_back", job.error
    assert "answered 500" in job.error
    assert fleet.versions() == ["1.0.0"] * 3


def test_canary_with_a_critical_heartbeat_is_rolled_back_while_paused(
    fleet: Fleet, shop: Service
) -> None:
    job = canary(fleet, shop)
    watch = Watch.objects.get(job=job)
    register("instance-0", health="critical")

    for _ in range(3):
        watching.make_round(job.pk, node="local")
        watch.refresh_from_db()
        waiting.until(lambda: not_fresh(watch))
    run(job)

    assert job.status == "rolled_back", job.error
    assert "instance instance-0 says that it is critical" in job.error


class StillWaiting(Exception):
    """The job waits for another check."""


def test_a_job_does_not_end_on_an_older_result_than_the_check_under_way(
    fleet: Fleet, shop: Service
) -> None:
    """Another worker asks an instance that hangs; before, the instance was well."""
    job = canary(fleet, shop)
    watching.make_round(job.pk, node="local")
    waiting.until(lambda: not_fresh(Watch.objects.get(job=job)))
    under_way = watching._claim(job.pk, ["local"])

    def wait(_seconds: float) -> None:
        raise StillWaiting

    assert Watch.objects.get(job=job).is_well
    with pytest.raises(StillWaiting):
        watching.settle(job, node="local", seconds=0, wait=wait)

    watching._record(job.pk, [(under_way[0], watching.Finding(is_well=True))])
    assert watching.settle(job, node="local", seconds=0, wait=wait)


def test_a_target_is_checked_once_at_a_time_and_again_after_its_worker_died(
    fleet: Fleet, shop: Service
) -> None:
    job = canary(fleet, shop)
    claimed = Watch.objects.filter(job=job)
    first = watching._claim(job.pk, ["local"])

    claimed.update(claimed_at=timezone.now() - watching.LOST / 2)
    second = watching._claim(job.pk, ["local"])
    claimed.update(claimed_at=timezone.now() - watching.LOST * 2)
    third = watching._claim(job.pk, ["local"])

    assert [len(watches) for watches in (first, second, third)] == [1, 0, 1]


def test_a_canary_that_is_sick_twice_and_well_again_goes_on(fleet: Fleet, shop: Service) -> None:
    job = canary(fleet, shop)
    sick = fleet.root(0) / "current" / "SICK"
    sick.touch()
    for _ in range(2):
        watching.make_round(job.pk, node="local")
        waiting.until(lambda: not_fresh(Watch.objects.get(job=job)))
    failures = Watch.objects.get(job=job).failures
    sick.unlink()

    operations.promote(job.job_id, by="anna")

    assert failures == 2
    assert run(job).status == "succeeded", job.error


def not_fresh(watch: Watch) -> bool:
    return Watch.objects.filter(watching._is_due(), pk=watch.pk).exists()


def register(instance_id: str, *, health: str) -> None:
    registration = registry.Registration(
        service_name="shop", url="http://127.0.0.1:9", instance_id=instance_id
    )
    registry.register(registration, by=None, now=timezone.now())
    beat = registry.Heartbeat(service_name="shop", instance_id=instance_id, health=health)
    registry.renew(beat, by=None, now=timezone.now())


def test_no_further_target_is_drained_while_an_old_instance_is_dead(
    fleet: Fleet, shop: Service
) -> None:
    """It dies after the job has begun; the job waits, and pauses when it stays dead."""
    job = operations.deploy(
        shop,
        announce(fleet.scene, "2.0.0"),
        by="ci",
        options={"max_unavailable": 1, "progress_deadline_seconds": 2},
    )
    restart = fleet.scene.on_restart

    def restart_and_kill(path: str) -> None:
        restart(path)
        fleet.kill(2)

    fleet.scene.on_restart = restart_and_kill
    run(job)

    assert job.status == "paused", job.error
    assert job.pause_reason.startswith("target-1 stays in service: of 3 targets 1 may be out")
    assert fleet.versions() == ["2.0.0", "1.0.0", "1.0.0"]

    fleet.scene.on_restart = restart
    restart("/restart/shop/2")
    waiting.until(lambda: not watching._unhealthy(job, list(shop.targets.all()), node="local"))
    operations.resume(job.job_id, by="anna")
    assert run(job).status == "succeeded", job.error


def test_a_target_that_was_dead_before_the_job_holds_nothing_up(
    fleet: Fleet, shop: Service
) -> None:
    fleet.kill(1)
    fleet.kill(2)

    job = run(operations.deploy(shop, announce(fleet.scene, "2.0.0"), by="ci"))

    assert job.status == "succeeded", job.error


def test_an_expired_instance_counts_as_not_well(fleet: Fleet, shop: Service) -> None:
    job = operations.deploy(shop, announce(fleet.scene, "2.0.0"), by="ci")
    register("instance-2", health="passing")
    Instance.objects.filter(instance_id="instance-2").update(state="expired")

    sick = watching._unhealthy(job, list(shop.targets.all()), node="far")

    assert sick == {"target-2": "the heartbeat of instance instance-2 expired"}
