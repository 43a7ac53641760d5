"""Blue-green over two slots: the new set is prepared while the old one serves, then all lookups move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from registry import directory
from registry import operations as registry
from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import HistoryEntry, Job, Target
from updates.rollouts import leases

pytestmark = pytest.mark.usefixtures("redis")

HELD = {"scale_down_delay_seconds": 3600}


@pytest.fixture
def slots(transactional_db: None, scene: scenes.Scene) -> Service:
    """Version 1.0.0 runs as blue; green stands by."""
    shop = scene.add_service("shop", targets=2)
    for target, slot in zip(shop.targets.all(), Target.Slot.values, strict=True):
        target.slot = slot
        target.save()
    register("instance-0", "1.0.0")
    job = run(scene.deploy_announced(shop, scene.announce("1.0.0")))
    assert job.status == "succeeded", job.error
    return shop


def register(instance_id: str, version: str) -> None:
    registration = registry.Registration(
        service_name="shop",
        url=f"http://127.0.0.1/{instance_id}",
        instance_id=instance_id,
        version=version,
    )
    registry.register(registration, by=None, now=timezone.now())


def starting(version: str) -> Callable[[str], None]:
    """Return what a restart of green does: it registers with the version."""
    return lambda _path: crashing.in_a_transaction_of_its_own(
        lambda: register("instance-1", version)
    )


def deploy(scene: scenes.Scene, shop: Service, version: str) -> Job:
    return operations.deploy(
        shop, scene.announce(version), by="ci", strategy="blue-green", options=HELD
    )


def versions(shop: Service) -> list[str | None]:
    return [crashing.current(Path(target.install_root)) for target in shop.targets.all()]


def looked_up() -> set[str]:
    entry = directory.get("shop")
    assert entry is not None
    found = [directory.chosen(entry) for _ in range(50)]
    return {instance.instance_id for instance in found if instance}


def test_a_rolling_deployment_leaves_the_standby_slot_alone(slots: Service) -> None:
    assert versions(slots) == ["1.0.0", None]


def test_green_is_started_while_blue_serves_and_then_gets_all_lookups(
    scene: scenes.Scene, slots: Service
) -> None:
    seen: list[set[str]] = []

    def start(path: str) -> None:
        crashing.in_a_transaction_of_its_own(lambda: register("instance-1", "2.0.0"))
        seen.append(looked_up())

    scene.on_restart = start

    job = run(deploy(scene, slots, "2.0.0"))

    assert (job.status, job.pause_reason) == ("paused", "The old side is kept"), job.error
    assert seen == [{"instance-0"}]
    assert looked_up() == {"instance-1"}
    assert versions(slots) == ["1.0.0", "2.0.0"]
    assert [target.is_standby for target in slots.targets.all()] == [True, False]


def test_an_abort_moves_all_lookups_back(scene: scenes.Scene, slots: Service) -> None:
    scene.on_restart = starting("2.0.0")
    job = run(deploy(scene, slots, "2.0.0"))

    operations.abort(job.job_id, by="anna")
    run(job)

    assert job.status == "rolled_back", job.error
    assert looked_up() == {"instance-0"}
    assert HistoryEntry.objects.get(job_id=job.job_id).running_version == "1.0.0"
    assert [target.is_standby for target in slots.targets.all()] == [False, True]


def test_a_green_set_that_is_not_fit_never_gets_a_lookup(
    scene: scenes.Scene, slots: Service
) -> None:
    scene.on_restart = starting("bad-2")

    job = run(deploy(scene, slots, "bad-2"))

    assert job.status == "rolled_back", job.error
    assert looked_up() == {"instance-0"}


def test_the_next_deployment_goes_to_the_slot_that_stands_by_then(
    scene: scenes.Scene, slots: Service
) -> None:
    register("instance-1", "2.0.0")
    job = run(deploy(scene, slots, "2.0.0"))
    operations.promote(job.job_id, by="anna")
    run(job)

    again = run(deploy(scene, slots, "3.0.0"))

    assert (job.status, again.status) == ("succeeded", "paused"), again.error
    assert versions(slots) == ["3.0.0", "2.0.0"]


def test_a_worker_killed_around_the_swap_does_no_harm(scene: scenes.Scene, slots: Service) -> None:
    register("instance-1", "2.0.0")
    job = deploy(scene, slots, "2.0.0")
    swap = job.steps.get(name="swap").position

    for boundary in crashing.Boundary:
        crashing.run_into_step(job, boundary, after=swap - 1)
        leases.free_the_dead()
    job = run(job)

    assert job.status == "paused", job.error
    assert looked_up() == {"instance-1"}


@pytest.mark.parametrize("targets", [0, 2])
def test_one_slot_is_refused_with_what_to_configure(
    api: APIClient, transactional_db: None, scene: scenes.Scene, targets: int
) -> None:
    scene.add_service("shop", targets=targets)
    body = {
        "service_name": "shop",
        "version": "1.0.0",
        "artifact_url": "https://ci.example/1.tar.gz",
        "strategy": "blue-green",
    }

    answer = api.post("/api/v1/webhooks/deploy", body, format="json")

    assert (answer.status_code, answer.json()["error"]) == (400, "Strategy not available")
    assert "give some of its targets the slot blue" in answer.json()["message"]
    assert not Job.objects.exists()


# --- What a request may say of targets and the way ------------------------------------------------


def post(api: APIClient, route: str, **fields: object) -> tuple[int, dict[str, object]]:
    answer = api.post(
        f"/api/v1/webhooks/{route}", {"service_name": "shop", **fields}, format="json"
    )
    return answer.status_code, answer.json()


def test_a_deployment_works_on_the_targets_that_it_names(
    api: APIClient, scene: scenes.Scene, shop: Service
) -> None:
    Target.objects.filter(name="target-1").update(labels={"wake": "early"})
    announced = scene.announce("2.0.0")
    request = {"version": "2.0.0", "artifact_url": announced.artifact_url, "reason": "A trial."}

    unknown = post(api, "deploy", **request, targets=["nowhere"])
    unlabelled = post(api, "deploy", **request, labels={"wake": "late"})
    status, answer = post(
        api, "deploy", **request, labels={"wake": "early"}, strategy_options={"bake_seconds": 0}
    )
    job = run(Job.objects.get(job_id=answer["job_id"]))

    assert (unknown[0], unknown[1]["error"]) == (400, "Invalid targets")
    assert (unlabelled[0], unlabelled[1]["error"]) == (400, "Invalid targets")
    assert (status, job.status, job.reason) == (202, "succeeded", "A trial."), job.error
    assert versions(shop) == ["1.0.0", "2.0.0"]


def test_options_that_make_no_sense_are_refused(
    api: APIClient, scene: scenes.Scene, shop: Service
) -> None:
    request = {"version": "2.0.0", "artifact_url": scene.announce("2.0.0").artifact_url}

    status, answer = post(api, "deploy", **request, strategy_options={"speed": 9})

    assert (status, answer["error"]) == (400, "Invalid strategy")
    assert "speed" in str(answer["message"])


def test_a_fast_rollback_restores_all_targets_at_once_without_drains_and_metrics(
    api: APIClient, scene: scenes.Scene, shop: Service
) -> None:
    run(scene.deploy(shop, "2.0.0"))
    # Nothing answers there: a metric that was asked would be inconclusive, and pause the rollback.
    shop.targets.update(metric_url=scene.base_url, metric_query="up", metric_maximum=1)

    status, answer = post(api, "rollback", fast=True)
    job = run(Job.objects.get(job_id=answer["job_id"]))

    assert (status, job.status) == (202, "succeeded"), job.error
    assert versions(shop) == ["1.0.0", "1.0.0"]
    switches = list(job.steps.filter(name="switch").values_list("position", flat=True))
    assert switches[1] == switches[0] + 1
    assert not job.steps.filter(name__in=["drain", "undrain"]).exists()
