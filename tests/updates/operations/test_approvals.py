"""Staff's word: asked once, given once, acted upon."""

from __future__ import annotations

import pytest
from django.utils import timezone

from registry.models import Event, Service
from tests import factories
from updates import errors, operations
from updates.models import Approval, AuditEntry, Job

pytestmark = pytest.mark.django_db


def _service_that_asks() -> Service:
    service = factories.ServiceFactory.create(version="1.0.0")
    factories.PolicyFactory.create(service=service, kind="approve", strategy="canary")
    factories.ReleaseFactory.create(service=service, version="1.1.0")
    return service


def _apply(service: Service) -> None:
    operations.apply_policy(service, now=timezone.now())


def test_staff_are_asked_once() -> None:
    service = _service_that_asks()

    _apply(service)
    _apply(service)

    assert Approval.objects.get().state == Approval.State.PENDING
    assert [event.type for event in Event.objects.all()] == ["update.awaiting_approval"]


def test_what_is_approved_is_deployed_by_the_policys_strategy() -> None:
    service = _service_that_asks()
    _apply(service)

    operations.approve(Approval.objects.get(), by="sam", now=timezone.now())
    _apply(service)

    job = Job.objects.get()
    assert (job.version, job.strategy) == ("1.1.0", "canary")
    assert job.requested_by == "policy approve, approved by sam"
    assert Approval.objects.get().job_id == job.job_id
    assert AuditEntry.objects.filter(action="update.approved", actor="sam").exists()


def test_what_is_rejected_is_not_asked_again() -> None:
    service = _service_that_asks()
    _apply(service)

    operations.reject(
        Approval.objects.get(), by="sam", reason="not in our audit week", now=timezone.now()
    )
    _apply(service)

    assert Approval.objects.get().state == Approval.State.REJECTED
    assert not Job.objects.exists()


def test_a_newer_release_takes_the_place_of_an_unanswered_question() -> None:
    service = _service_that_asks()
    _apply(service)
    factories.ReleaseFactory.create(service=service, version="1.2.0")

    _apply(service)

    states = set(Approval.objects.values_list("release__version", "state"))
    assert states == {("1.1.0", "superseded"), ("1.2.0", "pending")}


@pytest.mark.parametrize("state", ["approved", "rejected", "superseded"])
def test_what_is_decided_stays_decided(state: str) -> None:
    service = _service_that_asks()
    _apply(service)
    approval = Approval.objects.get()
    Approval.objects.update(state=state)

    with pytest.raises(errors.ApprovalDecided, match=state):
        operations.approve(approval, by="sam", now=timezone.now())


@pytest.mark.parametrize("is_approved", [False, True])
def test_an_approval_holds_for_the_artifact_that_was_seen(is_approved: bool) -> None:
    service = _service_that_asks()
    _apply(service)
    approval = Approval.objects.get()
    if is_approved:  # and the deployment waits for the calendar
        operations.approve(approval, by="sam", now=timezone.now())
    other = operations.Announcement(version="1.1.0", artifact_url="https://evil.example/1.1.0.tgz")

    operations.announce(service, other, by="mallory")
    _apply(service)

    approval.refresh_from_db()
    assert approval.state == Approval.State.SUPERSEDED
    with pytest.raises(errors.ApprovalDecided):
        operations.approve(approval, by="sam", now=timezone.now())
    assert not Job.objects.exists()
    assert Approval.objects.filter(state=Approval.State.PENDING).count() == 1
