"""A target that lists its instances stands for as many targets."""

from __future__ import annotations

from typing import Any

import pytest

from registry.models import Service
from registry.operations import ensure_service
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job, Target
from updates.operations import Details
from updates.rollouts import target_instances

LISTED = [{"id": "shop-1", "port": 8001}, {"id": "shop:2", "port": 8002, "zone": "b"}]


@pytest.fixture
def web(transactional_db: None, scene: scenes.Scene) -> Target:
    """One target with two instances, each with a folder, a restart and a health URL by its port."""
    return Target.objects.create(
        service=ensure_service("shop"),
        name="web",
        zone="a",
        install_root=str(scene.folder / "shop" / "{port}"),
        instances=LISTED,
        drain_seconds=0,
        restart=Target.Restart.HTTP,
        restart_with=f"{scene.base_url}/restart/shop/{{port}}",
        health_url=f"{scene.base_url}/health/shop/{{port}}",
        health_successes=1,
        healthy_deadline_seconds=0,
        environment={"NAME": "{instance}"},
        labels={"wake": "early"},
    )


def deploy(scene: scenes.Scene, service: Service, version: str, **given: Any) -> Job:
    details = Details(**given)
    return run(operations.deploy(service, scene.announce(version), by="ci", details=details))


def test_each_instance_is_installed_restarted_and_watched_by_itself(
    scene: scenes.Scene, web: Target
) -> None:
    restarted: list[str] = []
    scene.on_restart = restarted.append

    job = deploy(scene, web.service, "1.0.0")

    assert job.status == "succeeded", job.error
    for port in ("8001", "8002"):
        assert crashing.current(scene.folder / "shop" / port) == "1.0.0"
    assert restarted == ["/restart/shop/8001", "/restart/shop/8002"]
    rows = web.children.order_by("name").values_list("name", "instance_id", "zone", "environment")
    assert list(rows) == [
        ("web-shop-1", "shop-1", "a", {"NAME": "shop-1", "PORT": "8001"}),
        ("web-shop-2", "shop:2", "b", {"NAME": "shop:2", "PORT": "8002"}),
    ]


def test_a_change_of_the_target_or_its_list_counts_from_the_next_job_on(
    scene: scenes.Scene, web: Target
) -> None:
    deploy(scene, web.service, "1.0.0")
    web.instances = [*LISTED[1:], {"id": "shop-3", "port": 8003, "node": "local"}]
    web.labels = {"wake": "late"}
    web.save()

    job = deploy(scene, web.service, "2.0.0", targets=("web",), labels={"wake": "late"})

    switched = job.steps.filter(name="switch").values_list("target_name", flat=True)
    assert (job.status, list(switched)) == ("succeeded", ["web-shop-2", "web-shop-3"]), job.error
    assert crashing.current(scene.folder / "shop" / "8001") == "1.0.0"
    versions = web.children.order_by("name").values_list("current_version", flat=True)
    assert list(versions) == ["2.0.0", "2.0.0"]


def test_one_instance_may_be_selected_by_its_name(scene: scenes.Scene, web: Target) -> None:
    job = deploy(scene, web.service, "1.0.0", targets=("web-shop-1",))

    assert {step.target_name for step in job.steps.all()} - {""} == {"web-shop-1"}


def test_a_fixed_folder_gets_one_for_each_instance(scene: scenes.Scene, web: Target) -> None:
    web.install_root = "/srv/shop"
    web.save()

    roots = [target.install_root for target in target_instances.expand([web])]

    assert roots == ["/srv/shop/shop-1", "/srv/shop/shop-2"]


@pytest.mark.parametrize(
    "instances",
    [
        {"id": "a"},
        ["a"],
        [{"port": 1}],
        [{"id": "a/b"}],
        [{"id": "a", "port": 0}],
        [{"id": "a", "port": "80"}],
        [{"id": "a", "host": "b"}],
        [{"id": "a", "node": 1}],
        [{"id": "a:b"}, {"id": "a#b"}],
    ],
)
def test_refuses_instances_that_make_no_sense(instances: Any) -> None:
    assert target_instances.fault(instances)


def test_accepts_instances_on_one_host_and_on_several() -> None:
    hosts = [{"id": "shop-1", "node": "web1"}, {"id": "shop-2", "node": "web2", "zone": "b"}]

    assert target_instances.fault(LISTED) is None
    assert target_instances.fault(hosts) is None
