"""Each gate holds for each way to a job; an override takes a permission and a reason."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from registry.identity.accounts import Caller
from registry.models import Event, Service, ServiceAccount
from tests import factories
from updates import errors, operations
from updates.models import AuditEntry, Freeze, Job

pytestmark = pytest.mark.django_db


def _frozen_service() -> Service:
    service = factories.ServiceFactory.create(name="payment-service")
    factories.ReleaseFactory.create(service=service, version="1.3.0")
    today = dt.datetime.now(dt.UTC).date()
    Freeze.objects.create(
        name="stocktaking",
        starts_on=today - dt.timedelta(days=1),
        ends_on=today + dt.timedelta(days=2),
    )
    return service


def _deploy(service: Service, override: operations.Override | None = None) -> Job:
    return operations.deploy(
        service,
        operations.Announcement(version="1.3.0"),
        by="sam",
        exemptions=operations.GateExemptions(override=override),
    )


def test_deployment_in_a_freeze_is_refused() -> None:
    service = _frozen_service()

    with pytest.raises(errors.ChangesFrozen, match=r"until .*T00:00:00Z: Frozen by 'stocktaking'"):
        _deploy(service)

    assert not Job.objects.exists()


def test_an_override_deploys_and_goes_on_record() -> None:
    service = _frozen_service()

    job = _deploy(service, operations.Override(by="sam", reason="the shop is down"))

    assert job.status == Job.Status.QUEUED
    entry = AuditEntry.objects.get(action="calendar.overridden")
    assert (entry.actor, entry.data["reason"]) == ("sam", "the shop is down")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_an_override_needs_a_reason(reason: str) -> None:
    service = _frozen_service()

    with pytest.raises(errors.ReasonMissing):
        _deploy(service, operations.Override(by="sam", reason=reason))

    assert not Job.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_job_under_way_is_found_again_in_a_freeze() -> None:
    service = factories.ServiceFactory.create(name="payment-service")
    factories.ReleaseFactory.create(service=service, version="1.3.0")
    job = _deploy(service)
    today = dt.datetime.now(dt.UTC).date()
    Freeze.objects.create(name="now", starts_on=today, ends_on=today + dt.timedelta(days=2))

    assert _deploy(service) == job


def test_a_rollback_waits_for_the_end_of_a_freeze() -> None:
    service = _frozen_service()
    factories.HistoryEntryFactory.create(
        service_name=service.name, old_version="1.3.0", new_version="1.4.0"
    )

    with pytest.raises(errors.ChangesFrozen):
        operations.roll_back(service, "1.3.0", by="sam")

    override = operations.Override(by="sam", reason="1.4.0 loses orders")
    job = operations.roll_back(
        service, "1.3.0", by="sam", exemptions=operations.GateExemptions(override=override)
    )
    assert job.kind == Job.Kind.ROLLBACK
    assert AuditEntry.objects.get(action="calendar.overridden").actor == "sam"


def test_an_override_is_reported_to_subscribers() -> None:
    service = _frozen_service()

    job = _deploy(service, operations.Override(by="sam", reason="the shop is down"))

    event = Event.objects.get(type="deployment.overridden")
    assert (event.data["job_id"], event.data["by"]) == (job.job_id, "sam")
    assert event.data["reason"] == "the shop is down"
    assert list(event.data["obstacles"]) == ["calendar"]


# --- The release ----------------------------------------------------------------------------------

Start = Callable[[Service, operations.GateExemptions], Job]


def _start_deployment(service: Service, exemptions: operations.GateExemptions) -> Job:
    announcement = operations.Announcement(version="1.3.0")
    return operations.deploy(service, announcement, by="sam", exemptions=exemptions)


def _start_rollback(service: Service, exemptions: operations.GateExemptions) -> Job:
    return operations.roll_back(service, "1.3.0", by="sam", exemptions=exemptions)


def _start_retry(service: Service, exemptions: operations.GateExemptions) -> Job:
    return operations.retry(Job.objects.get().job_id, by="sam", exemptions=exemptions)


EVERY_WAY = [_start_deployment, _start_rollback, _start_retry]


def _service_that_ran(version: str = "1.3.0", **release: Any) -> Service:
    """Return a service with a job that failed, so that each way to a job is open."""
    service = factories.ServiceFactory.create(name="payment-service")
    known = factories.ReleaseFactory.create(service=service, version=version, **release)
    factories.HistoryEntryFactory.create(
        service_name=service.name, old_version=version, new_version="1.4.0"
    )
    Job.objects.create(
        job_id="deploy-payment-service-1.3.0-1",
        kind=Job.Kind.DEPLOY,
        service=service,
        release=known,
        version=version,
        strategy="rolling",
        artifact_url=known.artifact_url,
        status=Job.Status.FAILED,
        created_at=factories.NOW,
    )
    return service


@pytest.mark.parametrize("start", EVERY_WAY)
def test_a_withdrawn_release_is_not_installed_by_any_way(start: Start) -> None:
    service = _service_that_ran(state="withdrawn", state_reason="It deletes files.")
    override = operations.Override(by="sam", reason="nevertheless")

    for exemptions in (
        operations.NO_EXEMPTIONS,
        operations.GateExemptions(override=override, force_reason="yes"),
    ):
        with pytest.raises(errors.ReleaseWithdrawn, match="It deletes files"):
            start(service, exemptions)

    assert Job.objects.count() == 1


@pytest.mark.parametrize("start", EVERY_WAY)
def test_a_quarantined_release_is_installed_by_force_only(start: Start) -> None:
    service = _service_that_ran(state="quarantined", state_reason="It failed.")

    with pytest.raises(errors.ReleaseQuarantined, match="It failed"):
        start(service, operations.NO_EXEMPTIONS)
    with pytest.raises(errors.ReasonMissing):
        start(service, operations.GateExemptions(force_reason=" "))

    start(service, operations.GateExemptions(force_reason="the disk was full"))
    entry = AuditEntry.objects.get(action="quarantine.forced")
    assert (entry.actor, entry.data["reason"]) == ("sam", "the disk was full")


@pytest.mark.parametrize("start", EVERY_WAY)
def test_each_way_waits_for_a_second_person(start: Start) -> None:
    service = _service_that_ran()
    factories.PolicyFactory.create(service=service, requires_second_person=True)

    with pytest.raises(errors.ApprovalRequired):
        start(service, operations.NO_EXEMPTIONS)
    assert Job.objects.count() == 1

    override = operations.Override(by="sam", reason="the shop is down")
    assert start(service, operations.GateExemptions(override=override)).status == Job.Status.QUEUED
    assert AuditEntry.objects.get(action="approval.overridden").actor == "sam"


def _signature(expires: str) -> str:
    """Return a signature with a readable statement and invalid bytes."""
    return "\n".join(
        [
            "untrusted comment: signature",
            base64.b64encode(b"ED" + bytes(8 + 64)).decode(),
            f"trusted comment: service=payment-service version=1.3.0 expires={expires}",
            base64.b64encode(bytes(64)).decode(),
        ]
    )


@pytest.mark.parametrize("start", EVERY_WAY)
def test_an_expired_statement_stops_each_way(start: Start) -> None:
    service = _service_that_ran(signature=_signature("2020-01-01T00:00:00Z"))
    policy = factories.PolicyFactory.create(service=service, requires_signature=True)

    with pytest.raises(errors.StatementExpired, match="2020-01-01"):
        start(service, operations.NO_EXEMPTIONS)

    policy.requires_signature = False
    policy.save()
    assert start(service, operations.NO_EXEMPTIONS).status == Job.Status.QUEUED


def test_a_statement_that_holds_stops_nothing() -> None:
    service = _service_that_ran(signature=_signature("2999-01-01T00:00:00Z"))
    factories.PolicyFactory.create(service=service, requires_signature=True)

    assert _start_rollback(service, operations.NO_EXEMPTIONS).status == Job.Status.QUEUED


def _caller(*scopes: str) -> Caller:
    return Caller(
        account=ServiceAccount(name="ci"), token=None, scopes=frozenset(scopes), is_super=False
    )


def test_only_admin_of_the_registry_overrides_through_the_api() -> None:
    assert operations.override_of(_caller("admin:registry"), "fire") == operations.Override(
        "ci", "fire"
    )
    assert operations.override_of(_caller("updates:deploy"), None) is None
    for caller in (None, _caller("updates:deploy")):
        with pytest.raises(errors.OverrideNotAllowed):
            operations.override_of(caller, "fire")
