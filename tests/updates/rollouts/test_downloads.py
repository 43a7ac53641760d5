"""At most four downloads at once for an account; a job that waits for one has no worker."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.utils import timezone

from registry.models import Service, ServiceAccount
from registry.operations import ensure_service
from tests.updates.rollouts.conftest import Announce
from updates import operations
from updates.models import Job, Step
from updates.rollouts import downloads, runner

Deploy = Callable[..., Job]


@pytest.fixture
def fetching(transactional_db: None, publish: Announce) -> list[Job]:
    """As many jobs as may fetch at once, in the middle of it."""
    jobs = [
        operations.deploy(ensure_service(f"other-{number}"), publish("1.0.0"), by="ci")
        for number in range(downloads.MAX_PER_ACCOUNT)
    ]
    ends_at = timezone.now() + dt.timedelta(seconds=60)
    Job.objects.update(
        status=Job.Status.RUNNING, lease_expires_at=ends_at, started_at=timezone.now()
    )
    Step.objects.filter(name="fetch").update(status=Step.Status.RUNNING)
    return jobs


def test_one_more_download_waits_without_a_worker(fetching: list[Job], deploy: Deploy) -> None:
    job = deploy("2.0.0")

    assert job.status == "running"
    assert job.lease_expires_at is None
    step = job.steps.get(name="fetch")
    assert step.status == "pending"
    assert step.message.startswith("Waits: 4 downloads")


def test_it_goes_on_when_one_of_them_has_ended(fetching: list[Job], deploy: Deploy) -> None:
    job = deploy("2.0.0")
    Step.objects.filter(job=fetching[0], name="fetch").update(status=Step.Status.SUCCEEDED)

    assert job in Job.objects.due()  # which the sweep over jobs wakes
    runner.run(job.pk, node="local")

    job.refresh_from_db()
    assert job.status == "succeeded", job.error


def test_downloads_of_dead_workers_do_not_count(fetching: list[Job], deploy: Deploy) -> None:
    Job.objects.update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert deploy("2.0.0").status == "succeeded"


def test_another_account_does_not_wait(
    fetching: list[Job], deploy: Deploy, service: Service
) -> None:
    service.account = ServiceAccount.objects.create(name="chief")
    service.save(update_fields=["account"])

    assert deploy("2.0.0").status == "succeeded"
