"""Images run as containers: pulled by digest, switched, kept for a rollback, removed afterwards.

docker and podman do not run here: the calls go to a program with their interface.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from registry.models import Service
from registry.operations import ensure_service
from saga_project.shared import crypto
from tests.updates.rollouts import fake_engine
from tests.updates.rollouts.conftest import run
from updates import errors, operations
from updates.artifacts.installers import container
from updates.models import Credential, Job, Target
from updates.policies import preview
from updates.releases import credentials, recording
from updates.rollouts import environments

pytestmark = pytest.mark.django_db(transaction=True)

DIGEST = f"sha256:{'a' * 64}"


class Engine:
    def __init__(self, state: Path, log: Path) -> None:
        self._state, self._log = state, log

    @property
    def containers(self) -> dict[str, Any]:
        return dict(json.loads(self._state.read_text())) if self._state.exists() else {}

    def calls(self, verb: str) -> list[list[str]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == verb]


@pytest.fixture
def engine(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Engine:
    settings.SAGA_INSTALL_ROOT = tmp_path / "services"
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    state, log = fake_engine.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Engine(state, log)


@pytest.fixture
def target(engine: Engine) -> Target:
    return Target.objects.create(
        service=ensure_service("shop"),
        name="web",
        drain_seconds=0,
        installer=Target.Installer.CONTAINER,
        installer_options={
            "ports": ["127.0.0.1:8080:80"],
            "volumes": ["/srv/shop:/data"],
            "restart_policy": "unless-stopped",
            "command": ["serve"],
        },
        environment={"MODE": "live"},
        sealed_environment=environments.seal({"TOKEN": "s3cret"}),
    )


def deploy(service: Service, version: str, image: str = "", checksum: str = DIGEST) -> Job:
    announcement = recording.Announcement(
        version=version,
        artifact_url=image or f"registry.example/acme/shop:{version}",
        artifact_type="image",
        checksum=checksum,
    )
    return run(operations.deploy(service, announcement, by="ci"))


def test_an_image_is_pulled_by_digest_and_run_as_declared(engine: Engine, target: Target) -> None:
    job = deploy(target.service, "1.0.0")

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert engine.calls("pull") == [[f"registry.example/acme/shop@{DIGEST}"]]
    running = engine.containers["saga-shop-web"]
    assert running["image"] == f"registry.example/acme/shop@{DIGEST}"
    assert running["command"] == ["serve"]
    assert (running["publish"], running["volume"]) == (["127.0.0.1:8080:80"], ["/srv/shop:/data"])
    assert running["restart"] == "unless-stopped"
    assert {"MODE": "live", "TOKEN": "s3cret", "SAGA_VERSION": "1.0.0"}.items() <= running[
        "env"
    ].items()
    assert "s3cret" not in str(engine.calls("run"))


def test_the_container_that_was_replaced_is_removed_at_the_end(
    engine: Engine, target: Target
) -> None:
    deploy(target.service, "1.0.0")

    job = deploy(target.service, "2.0.0")

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert list(engine.containers) == ["saga-shop-web"]
    assert engine.containers["saga-shop-web"]["labels"]["saga.version"] == "2.0.0"


def test_a_container_that_does_not_start_makes_way_for_the_one_before(
    engine: Engine, target: Target
) -> None:
    deploy(target.service, "1.0.0")

    job = deploy(target.service, "2.0.0", "registry.example/acme/broken:2.0.0")

    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert "did not start: it is not running. Its last output: it said this" in job.error
    running = engine.containers["saga-shop-web"]
    assert (running["labels"]["saga.version"], running["running"]) == ("1.0.0", True)
    assert len(engine.calls("run")) == 2, "it was started again, not made anew"


def test_a_container_that_has_its_name_back_is_started_by_the_next_attempt(
    engine: Engine, target: Target, tmp_path: Path
) -> None:
    """As after the death of a worker between the renaming and the start."""
    deploy(target.service, "1.0.0")
    (tmp_path / "bin" / "state.json.refuses-a-start").touch()
    job = deploy(target.service, "2.0.0", "registry.example/acme/broken:2.0.0")
    refused = (job.status, job.needs_attention)

    operations.retry(job.job_id, by="sam")
    run(job)

    assert refused == (Job.Status.FAILED, True), job.error
    assert job.status == Job.Status.ROLLED_BACK, job.error
    assert list(engine.containers) == ["saga-shop-web"]
    running = engine.containers["saga-shop-web"]
    assert (running["labels"]["saga.version"], running["running"]) == ("1.0.0", True)


def test_a_rollback_runs_the_image_that_is_on_record(engine: Engine, target: Target) -> None:
    deploy(target.service, "1.0.0")
    deploy(target.service, "2.0.0")

    job = run(operations.roll_back(target.service, by="sam"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert engine.containers["saga-shop-web"]["labels"]["saga.version"] == "1.0.0"


def test_a_first_container_that_does_not_start_is_removed(engine: Engine, target: Target) -> None:
    job = deploy(target.service, "1.0.0", "registry.example/acme/broken:1.0.0")

    assert job.status == Job.Status.FAILED
    assert engine.containers == {}


def test_an_image_that_cannot_be_pulled_changes_nothing(engine: Engine, target: Target) -> None:
    job = deploy(target.service, "1.0.0", "registry.example/acme/missing:1.0.0", checksum="")

    assert job.status == Job.Status.FAILED
    assert "manifest unknown" in job.error
    assert engine.containers == {}


def test_an_image_is_refused_at_once_where_a_target_installs_files(engine: Engine) -> None:
    service = ensure_service("shop")

    with pytest.raises(errors.TargetCannotInstall, match="is an image, and target 'local'"):
        deploy(service, "1.0.0")

    assert not Job.objects.exists()


def test_an_image_is_not_eligible_where_a_target_installs_files(engine: Engine) -> None:
    service = ensure_service("shop")
    announcement = recording.Announcement(
        version="1.0.0",
        artifact_url="registry.example/acme/shop:1.0.0",
        artifact_type="image",
        checksum=DIGEST,
    )
    operations.announce(service, announcement, by="ci")

    [evaluation] = preview.plan(service, now=timezone.now()).decision.evaluations
    assert str(evaluation.obstacle).startswith(
        "It is an image, and target 'local' has the installer"
    )

    Target.objects.create(service=service, name="web", installer=Target.Installer.CONTAINER)
    [evaluation] = preview.plan(service, now=timezone.now()).decision.evaluations
    assert evaluation.obstacle is None


def test_a_file_is_refused_at_once_where_a_target_runs_images(target: Target) -> None:
    announcement = recording.Announcement(version="1.0.0", artifact_url="https://ci.example/a.zip")

    with pytest.raises(errors.TargetCannotInstall, match="is no image"):
        operations.deploy(target.service, announcement, by="ci")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, None),
        ({"engine": "podman", "ports": ["8080:80"], "restart_policy": "on-failure:3"}, None),
        ({"privileged": True}, "Unknown option"),
        ({"ports": "8080:80"}, "list of texts"),
        ({"volumes": ["--privileged"]}, "dash"),
        ({"network": "--privileged"}, "dash"),
        ({"engine": "nerdctl"}, "engine is one of"),
        ({"restart_policy": "sometimes"}, "restart_policy is one of"),
        ({"start_seconds": -1}, "start_seconds"),
    ],
)
def test_options_that_no_engine_would_take_are_refused(
    options: dict[str, Any], why: str | None
) -> None:
    fault = container.fault(options)

    assert (fault is None) if why is None else (why in str(fault))


PRIVATE = "registry.example/private/shop:1.0.0"


def test_a_private_image_is_pulled_with_the_credential_of_its_registry(
    engine: Engine, target: Target
) -> None:
    without = deploy(target.service, "1.0.0", PRIVATE)
    Credential.objects.create(
        host="registry.example",
        kind=Credential.Kind.REGISTRY,
        username="ci",
        sealed_secret=crypto.encrypt("pa55"),
    )

    job = run(operations.retry(without.job_id, by="anna"))

    assert without.status == Job.Status.FAILED
    assert job.status == Job.Status.SUCCEEDED, job.error
    assert engine.calls("login") == [["--username", "ci", "--password-stdin", "registry.example"]]
    assert "pa55" not in str([list(job.steps.values("message", "result")), engine.calls("pull")])


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("ghcr.io/acme/shop:1", "ghcr.io"),
        ("localhost:5000/shop", "localhost:5000"),
        ("acme/shop:1", "docker.io"),
        ("nginx", "docker.io"),
    ],
)
def test_the_registry_of_an_image_is_read_as_engines_do(reference: str, host: str) -> None:
    assert credentials.registry_of(reference) == host
