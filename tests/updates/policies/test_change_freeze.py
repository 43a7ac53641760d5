"""Freezes bind every caller without the permission and a reason."""

from __future__ import annotations

import datetime as dt

import pytest

from registry.identity.accounts import Caller
from registry.models import Service, ServiceAccount
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
        service, operations.Announcement(version="1.3.0"), by="sam", override=override
    )


def test_nobody_deploys_in_a_freeze() -> None:
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


def test_the_way_back_is_open_in_a_freeze() -> None:
    service = _frozen_service()
    factories.HistoryEntryFactory.create(service_name=service.name, new_version="1.4.0")

    job = operations.roll_back(service, "1.3.0", by="sam")

    assert job.kind == Job.Kind.ROLLBACK


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
