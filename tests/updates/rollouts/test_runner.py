from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from pytest_httpserver import HTTPServer
from werkzeug import Response

from registry.models import Event, Service
from tests.updates.rollouts.conftest import Announce, installed, run
from updates import operations
from updates.models import HistoryEntry, Job, Release, Target

Deploy = Callable[..., Job]


def test_installs_a_real_archive_in_the_folder_of_a_service_without_targets(
    deploy: Deploy, root: Path
) -> None:
    job = deploy("1.0.0")

    assert job.status == "succeeded", job.error
    assert job.progress == 100
    assert installed(root) == "1.0.0"
    assert [step.name for step in job.steps.all()] == [
        "fetch",
        "verify",
        "unpack",
        "back up",
        "switch",
        "clean up",
    ]
    entry = HistoryEntry.objects.get(job_id=job.job_id)
    assert (entry.status, entry.old_version, entry.new_version) == ("success", None, "1.0.0")
    assert Path(entry.artifact_path or "").is_file()


def test_the_first_deployment_replaces_what_the_service_reported(
    deploy: Deploy, service: Service
) -> None:
    Service.objects.filter(pk=service.pk).update(version="0.9.0")

    deploy("1.0.0")

    entry = HistoryEntry.objects.get()
    assert (entry.old_version, entry.new_version) == ("0.9.0", "1.0.0")


def test_backs_up_what_it_replaces(deploy: Deploy, root: Path) -> None:
    deploy("1.0.0")

    job = deploy("1.1.0")

    entry = HistoryEntry.objects.get(job_id=job.job_id)
    assert installed(root) == "1.1.0"
    assert (entry.old_version, entry.new_version) == ("1.0.0", "1.1.0")
    assert (Path(entry.backup_path or "") / "release" / "VERSION").read_text() == "1.0.0"


def test_puts_the_old_version_back_when_the_new_one_is_not_fit(
    deploy: Deploy, root: Path, service: Service, httpserver: HTTPServer
) -> None:
    deploy("1.0.0")
    Target.objects.update(
        health_url=httpserver.url_for("/health"), healthy_deadline_seconds=1, health_successes=1
    )
    httpserver.expect_request("/health").respond_with_handler(
        lambda _request: Response(status=200 if installed(root) == "1.0.0" else 500)
    )

    job = deploy("2.0.0")

    assert job.status == "rolled_back", job.error
    assert "answered 500" in job.error
    assert installed(root) == "1.0.0"
    assert Release.objects.get(version="2.0.0").state == "quarantined"
    entry = HistoryEntry.objects.get(job_id=job.job_id)
    assert (entry.status, entry.running_version) == ("rolled_back", "1.0.0")


def test_rolls_back_by_hand_to_the_version_before(
    deploy: Deploy, root: Path, service: Service
) -> None:
    deploy("1.0.0")
    deploy("2.0.0")

    job = run(operations.roll_back(service, by="anna"))

    assert (job.status, job.version, job.previous_version) == ("succeeded", "1.0.0", "2.0.0")
    assert installed(root) == "1.0.0"
    entry = HistoryEntry.objects.get(job_id=job.job_id)
    assert (entry.status, entry.old_version, entry.new_version) == (
        "rolled_back",
        "2.0.0",
        "1.0.0",
    )


def test_refuses_an_artifact_with_another_digest_and_changes_nothing(
    deploy: Deploy, root: Path, service: Service, publish: Announce
) -> None:
    deploy("1.0.0")
    wrong = dataclasses.replace(publish("2.0.0"), checksum="sha256:" + "0" * 64)

    job = run(operations.deploy(service, wrong, by="ci"))

    assert job.status == "failed"
    assert "not sha256:000" in job.error
    assert installed(root) == "1.0.0"


def test_publishes_what_happened_as_events(deploy: Deploy) -> None:
    deploy("1.0.0")

    types = Event.objects.order_by("id").values_list("type", flat=True)
    assert [name for name in types if name.startswith("deployment")] == [
        "deployment.queued",
        "deployment.started",
        "deployment.succeeded",
    ]
