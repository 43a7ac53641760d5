"""A service, a server with its artifacts, and a way to run its jobs as a worker does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from registry.models import Service
from registry.operations import ensure_service
from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts import scenes
from updates import operations
from updates.models import Job
from updates.releases import recording
from updates.rollouts import runner

Announce = Callable[..., recording.Announcement]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Settings) -> None:
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.SAGA_BACKUPS_DIR = tmp_path / "backups"
    settings.SAGA_INSTALL_ROOT = tmp_path / "services"
    settings.SAGA_NODE_NAME = "local"
    settings.SAGA_BAKE_SECONDS = 0
    settings.SAGA_RETRY_DELAY_SECONDS = 0


@pytest.fixture
def service(transactional_db: None) -> Service:
    return ensure_service("shop")


@pytest.fixture
def publish(httpserver: HTTPServer) -> Announce:
    """Serve an artifact of a version; return its announcement."""

    def publish(version: str, content: bytes | None = None) -> recording.Announcement:
        files = {"VERSION": version.encode(), "bin/run": b"#!/bin/sh\n"}
        data = content or hostile.good_tar_gz(files)
        path = f"/{version}/shop.tar.gz"
        httpserver.expect_request(path).respond_with_data(data)
        digest = hashlib.sha256(data).hexdigest()
        return recording.Announcement(
            version=version, artifact_url=httpserver.url_for(path), checksum=f"sha256:{digest}"
        )

    return publish


@pytest.fixture
def deploy(service: Service, publish: Announce) -> Callable[..., Job]:
    """Deploy a version as far as it goes without waiting."""

    def deploy(version: str, **options: object) -> Job:
        job = operations.deploy(service, publish(version), by="ci", **options)  # type: ignore[arg-type]
        return run(job)

    return deploy


def run(job: Job) -> Job:
    runner.run(job.pk, node="local")
    job.refresh_from_db()
    return job


def installed(folder: Path) -> str | None:
    """Return the version that `current` points to."""
    version = folder / "current" / "VERSION"
    return version.read_text() if version.exists() else None


@pytest.fixture
def root(settings: Settings) -> Path:
    return Path(settings.SAGA_INSTALL_ROOT) / "shop"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[scenes.Scene]:
    with scenes.opened(tmp_path / "targets") as scene:
        yield scene


@pytest.fixture
def shop(transactional_db: None, scene: scenes.Scene) -> Service:
    """Version 1.0.0 runs on two targets."""
    shop = scene.add_service("shop", targets=2)
    job = run(scene.deploy(shop, "1.0.0"))
    assert job.status == Job.Status.SUCCEEDED, job.error
    return shop
