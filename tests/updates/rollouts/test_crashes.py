"""A bounded part of the crash matrix; ``bench/faults`` kills at hundreds of moments."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from django import db
from django.db.models.functions import Now

from registry.models import Service
from tests import waiting
from tests.updates.rollouts import crashing, scenes
from updates.artifacts import files
from updates.artifacts.installers import root as install_root
from updates.models import Job, Step
from updates.rollouts import leases, runner
from updates.step_context import StepFailed

pytestmark = pytest.mark.django_db(transaction=True)


EVERY_STRATEGY = pytest.mark.parametrize("strategy", ["rolling", "canary"])
GOOD_AND_BAD = pytest.mark.parametrize(
    ("version", "status", "ends_with"),
    [("2.0.0", "succeeded", "2.0.0"), ("bad-2", "rolled_back", "1.0.0")],
)


@EVERY_STRATEGY
@GOOD_AND_BAD
def test_a_worker_killed_again_and_again_does_no_harm(
    scene: scenes.Scene, shop: Service, strategy: str, version: str, status: str, ends_with: str
) -> None:
    targets = list(shop.targets.all())
    job = scene.deploy(shop, version, strategy=strategy)
    for moment in (25, 110, 60):
        crashing.run_until(job, moment)
        for target in targets:
            crashing.check_current_is_whole(target, allowed={"1.0.0", version})
        leases.free_the_dead()

    crashing.bring_to_an_end(job)

    crashing.check_end(job, targets, status=status, version=ends_with)


@EVERY_STRATEGY
@GOOD_AND_BAD
def test_a_worker_killed_in_each_step_of_a_job_does_no_harm(
    scene: scenes.Scene, shop: Service, strategy: str, version: str, status: str, ends_with: str
) -> None:
    """Once in each step, on the way back, too; the bench tries each boundary of each."""
    targets = list(shop.targets.all())
    job = scene.deploy(shop, version, strategy=strategy)
    boundaries = itertools.cycle(crashing.Boundary)
    after, kills = -1, 0
    while crashing.run_into_step(job, next(boundaries), after=after):
        after, kills = crashing.steps_performed(job)[-1], kills + 1
        for target in targets:
            crashing.check_current_is_whole(target, allowed={"1.0.0", version})

    crashing.check_end(job, targets, status=status, version=ends_with)
    assert kills == len(crashing.steps_performed(job)) >= 17


def test_a_step_that_always_kills_its_worker_is_given_up(
    scene: scenes.Scene, shop: Service
) -> None:
    job = scene.deploy(shop, "2.0.0")
    Step.objects.filter(job=job, name="unpack").update(runs=runner.MAX_RUNS)

    crashing.bring_to_an_end(job)

    assert job.status == "failed"
    assert "died 5 times" in job.error
    crashing.check_current_is_whole(shop.targets.all()[0], allowed={"1.0.0"})


@pytest.mark.parametrize("moment", [12, 30, 51])
def test_a_frozen_worker_that_wakes_after_its_lease_writes_nothing(
    scene: scenes.Scene, shop: Service, moment: int
) -> None:
    """Frozen in the middle of the job, overtaken, woken: neither rows nor files may change any more."""
    job = scene.deploy(shop, "2.0.0")
    with crashing.frozen(job, moment=moment):
        Job.objects.filter(pk=job.pk).update(lease_expires_at=Now())
        crashing.bring_to_an_end(job)
        before = crashing.everything_that_counts(job, scene.folder)

    assert job.status == "succeeded"
    assert crashing.everything_that_counts(job, scene.folder) == before


def test_a_lower_fence_may_not_touch_an_install_root(tmp_path: Path) -> None:
    with install_root.open_root(
        tmp_path, fence=8, timeout_seconds=1, checkpoint=lambda: None
    ) as root:
        root.check_fence()

    with (
        pytest.raises(install_root.StaleFence, match="old backup"),
        install_root.open_root(tmp_path, fence=7, timeout_seconds=1, checkpoint=lambda: None),
    ):
        pytest.fail("the root was opened")


def test_worker_that_loses_its_lease_right_after_the_check_changes_nothing(tmp_path: Path) -> None:
    """As one that freezes with the lock in its hand: others raise the fence, and wait in vain."""

    def be_overtaken() -> None:
        root.check_fence()
        with (
            suppress(StepFailed),
            install_root.open_root(tmp_path, fence=8, timeout_seconds=0, checkpoint=lambda: None),
        ):
            pytest.fail("the lock was held")

    with install_root.open_root(
        tmp_path, fence=7, timeout_seconds=1, checkpoint=lambda: None
    ) as root:
        (tmp_path / "current").symlink_to("releases/1")
        with pytest.raises(FileNotFoundError):
            files.point(tmp_path / "current", "releases/2", guard=be_overtaken)

    assert crashing.current(tmp_path) == "1"
    assert not list(tmp_path.glob(".part-*"))


def test_of_24_clients_at_once_all_get_the_one_job(scene: scenes.Scene, shop: Service) -> None:
    def ask(_: int) -> str:
        try:
            return waiting.until(deployed)
        finally:
            db.connections.close_all()

    def deployed() -> str:
        """Ask, and again where others held the row for too long: that is 503 with Retry-After."""
        with suppress(db.OperationalError):
            return scene.deploy(shop, "2.0.0").job_id
        return ""

    with ThreadPoolExecutor(24) as clients:
        answers = set(clients.map(ask, range(24)))

    assert len(answers) == 1
    assert Job.objects.filter(service=shop, version="2.0.0").count() == 1


def test_of_two_workers_only_one_gets_the_lease(scene: scenes.Scene, shop: Service) -> None:
    job = scene.deploy(shop, "2.0.0")

    first, second = leases.take(job.pk), leases.take(job.pk)

    assert first is not None
    assert second is None


def test_a_dead_workers_job_is_free_before_its_lease_ends(
    scene: scenes.Scene, shop: Service
) -> None:
    job = scene.deploy(shop, "2.0.0")
    crashing.run_until(job, 20)

    freed = leases.free_the_dead()

    assert freed == 1
    assert leases.take(job.pk) is not None
