"""A policy that requires signatures, for every installer."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import minisign
import pytest

from registry.models import Service
from tests.factories import PolicyFactory
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job, Target
from updates.releases import recording

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = minisign.KeyPair.generate()


@pytest.fixture(autouse=True)
def policy(shop: Service) -> None:
    key = KEYS.public_key.to_base64().decode()
    PolicyFactory(service=shop, requires_signature=True, signing_keys=[key])


def signed(scene: scenes.Scene, version: str, *, says: str | None = None) -> recording.Announcement:
    announcement = scene.announce(version)
    data = scene.artifacts[f"/artifacts/{version}.tar.gz"]
    statement = (
        f"service=shop version={says or version} sha256={hashlib.sha256(data).hexdigest()}"
        f" size={len(data)} expires=2999-01-31T00:00:00Z"
    )
    signature = KEYS.secret_key.sign(data, prehash=True, trusted_comment=statement)
    return dataclasses.replace(announcement, signature=bytes(signature).decode())


def deploy(scene: scenes.Scene, shop: Service, announcement: recording.Announcement) -> Job:
    operations.announce(shop, announcement, by="ci")
    return run(scene.deploy_announced(shop, announcement))


def has_hooks(shop: Service, url: str) -> None:
    shop.targets.update(
        installer=Target.Installer.HTTP, deployer_url=url, restart="none", health_url=""
    )


def test_installs_what_is_signed(scene: scenes.Scene, shop: Service) -> None:
    job = deploy(scene, shop, signed(scene, "2.0.0"))

    assert job.status == "succeeded", job.error
    assert "The signature is valid." in job.steps.filter(name="verify")[0].message


@pytest.mark.parametrize(
    ("says", "reason"), [("1.9.9", "another version"), (None, "this release has none")]
)
def test_refuses_what_is_not_signed_for(
    scene: scenes.Scene, shop: Service, says: str | None, reason: str
) -> None:
    unsigned = scene.announce("2.0.0")
    job = deploy(scene, shop, signed(scene, "2.0.0", says=says) if says else unsigned)

    assert job.status == "failed"
    assert reason in job.error
    for target in shop.targets.all():
        crashing.check_current_is_whole(target, allowed={"1.0.0"})


def test_a_deployer_is_asked_only_for_what_is_signed(scene: scenes.Scene, shop: Service) -> None:
    asked: list[str] = []
    scene.on_restart = asked.append
    has_hooks(shop, f"{scene.base_url}/deployer")

    good = deploy(scene, shop, signed(scene, "2.0.0"))
    asked_for_good = len(asked)
    bad = deploy(scene, shop, signed(scene, "3.0.0", says="1.9.9"))

    assert (good.status, bad.status) == ("succeeded", "failed"), (good.error, bad.error)
    assert (asked_for_good, len(asked)) == (2, 2)


def test_rolls_back_to_a_release_that_is_on_disk_without_its_artifact(
    scene: scenes.Scene, shop: Service
) -> None:
    deploy(scene, shop, signed(scene, "2.0.0"))
    scene.artifacts.clear()

    job = run(operations.roll_back(shop, by="anna"))

    assert job.status == "succeeded", job.error
    assert crashing.current(Path(shop.targets.all()[0].install_root)) == "1.0.0"
