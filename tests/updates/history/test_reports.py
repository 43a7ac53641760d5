"""What services report becomes history, once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from registry import events
from registry.models import Event
from tests import factories
from tests.factories import NOW
from updates import operations
from updates.models import HistoryEntry

pytestmark = pytest.mark.django_db

NAME = "payment-service"


def _report(old: str, new: str, *, instance_id: str = "default") -> None:
    with transaction.atomic():
        events.publish(
            events.service_version_changed(NAME, old=old, new=new, instance_id=instance_id)
        )


def _say_deployed(version: str | None, *, reported_at: dt.datetime = NOW) -> None:
    details = {
        "details": {"version": version, "pid": 12345},
        "reported_at": reported_at.isoformat(),
    }
    with transaction.atomic():
        events.publish(
            events.EventDraft(
                type="lifecycle.deployed", service_name=NAME, data=details, occurred_at=NOW
            )
        )


def _rows() -> list[tuple[str | None, str | None, str]]:
    entries = HistoryEntry.objects.order_by("pk")
    return [(entry.old_version, entry.new_version, entry.kind) for entry in entries]


def test_a_heartbeat_with_a_new_version_is_an_update() -> None:
    _report("1.2.3", "1.3.0")

    entry = HistoryEntry.objects.get()
    assert (entry.old_version, entry.new_version, entry.status) == ("1.2.3", "1.3.0", "success")
    assert entry.running_version == "1.3.0"
    assert entry.duration_seconds is None


def test_instances_that_follow_each_other_are_one_update() -> None:
    _report("1.2.3", "1.3.0", instance_id="a")
    _report("1.2.3", "1.3.0", instance_id="b")

    assert _rows() == [("1.2.3", "1.3.0", "reported")]


def test_a_deployment_that_a_service_reports_after_its_heartbeat_is_one_update() -> None:
    _report("1.2.3", "1.3.0")
    _say_deployed("1.3.0")

    assert len(_rows()) == 1


def test_the_first_deployment_that_a_service_reports_has_no_old_version() -> None:
    _say_deployed("1.0.0")

    assert _rows() == [(None, "1.0.0", "reported")]
    assert HistoryEntry.objects.get().timestamp == NOW


@pytest.mark.parametrize(
    "version", [None, "", 7, "x" * 500, "two words", "1.0.0/../../other/v1.0.0", "../1"]
)
def test_a_deployment_without_a_version_is_no_history(version: str | None) -> None:
    _say_deployed(version)

    assert _rows() == []


def test_a_deployment_that_is_reported_late_does_not_restore_the_old_version() -> None:
    factories.ServiceFactory.create(name=NAME, reported_at=NOW)
    _say_deployed("2.0.0")

    _say_deployed("1.0.0", reported_at=NOW - dt.timedelta(minutes=5))

    assert _rows() == [(None, "2.0.0", "reported")]


def test_a_deployment_that_is_reported_in_whole_seconds_is_not_late() -> None:
    factories.ServiceFactory.create(name=NAME, reported_at=NOW + dt.timedelta(milliseconds=900))

    _say_deployed("2.0.0")

    assert _rows() == [(None, "2.0.0", "reported")]


def test_rollback_that_a_service_reports_is_an_update_too() -> None:
    _report("1.2.3", "1.3.0")
    _report("1.3.0", "1.2.3")

    assert _rows() == [("1.2.3", "1.3.0", "reported"), ("1.3.0", "1.2.3", "reported")]


def test_what_a_job_is_at_work_on_is_left_to_the_job() -> None:
    service = factories.ServiceFactory.create(name=NAME, version="1.2.3")
    release = factories.ReleaseFactory.create(service=service, version="1.3.0")
    operations.deploy(service, operations.Announcement(version=release.version), by="sam")

    _report("1.2.3", "1.3.0")

    assert _rows() == []


def test_what_a_job_deployed_is_not_recorded_again() -> None:
    factories.HistoryEntryFactory.create(service_name=NAME, new_version="1.3.0", job_id="deploy-1")

    _report("1.2.3", "1.3.0")

    assert len(_rows()) == 1


def test_a_reported_update_counts_its_lead_time_from_the_release() -> None:
    service = factories.ServiceFactory.create(name=NAME)
    release = factories.ReleaseFactory.create(
        service=service, version="1.3.0", published_at=NOW - dt.timedelta(days=1)
    )

    _report("1.2.3", "1.3.0")

    entry = HistoryEntry.objects.get()
    assert (entry.released_at, entry.artifact_url) == (release.published_at, release.artifact_url)


# --- Mixed fleets -----------------------------------------------------------------------------------


def _register(api: APIClient, instance_id: str, version: str, *, port: int = 1) -> None:
    body = {
        "service_name": NAME,
        "service_url": f"http://127.0.0.1:{port}/{instance_id}",
        "capabilities": ["rest"],
        "instance_id": instance_id,
        "version": version,
    }
    assert api.post("/api/v1/services/register", body, format="json").status_code == 200


def _history(api: APIClient) -> dict[str, Any]:
    answer: dict[str, Any] = api.get(f"/api/v1/updates/history/{NAME}").json()
    return answer


def _heartbeat(api: APIClient) -> None:
    body = {"instance_id": "b", "status": "passing", "version": "2.0.0"}
    assert api.post(f"/api/v1/services/{NAME}/heartbeat", body, format="json").status_code == 200


def _deregister(api: APIClient) -> None:
    assert api.delete(f"/api/v1/services/{NAME}?instance_id=b").status_code == 200


@pytest.mark.usefixtures("redis", "transactional_db")
@pytest.mark.parametrize(
    "replace",
    [
        pytest.param(_heartbeat, id="heartbeat"),
        pytest.param(lambda api: _register(api, "b", "2.0.0"), id="registration"),
        pytest.param(_deregister, id="deregistration"),
    ],
)
def test_a_mixed_fleet_is_an_update_once_no_instance_of_the_old_version_is_left(
    api: APIClient, replace: Callable[[APIClient], object]
) -> None:
    for instance_id in ("a", "b"):
        _register(api, instance_id, "1.0.0")
    _register(api, "a", "2.0.0")
    mixed = _history(api)

    replace(api)

    assert (mixed["history"], mixed["is_mixed"]) == ([], True)
    assert mixed["running_versions"] == {"1.0.0": 1, "2.0.0": 1}
    settled = _history(api)
    changes = [(entry["old_version"], entry["new_version"]) for entry in settled["history"]]
    assert changes == [("1.0.0", "2.0.0")]
    assert "is_mixed" not in settled


@pytest.mark.usefixtures("redis", "transactional_db")
def test_a_fleet_that_stays_mixed_writes_no_history(api: APIClient) -> None:
    for port in (1, 2, 3):
        _register(api, "a", "1.0.0", port=port)
        _register(api, "b", "2.0.0", port=port)

    assert _history(api)["history"] == []


def test_another_version_than_was_deployed_is_drift() -> None:
    factories.HistoryEntryFactory.create(service_name=NAME, new_version="1.3.0")

    _report("1.3.0", "1.4.0")
    _report("1.4.0", "1.3.0")

    [event] = Event.objects.filter(type="service.drifted")
    assert event.data == {"deployed_version": "1.3.0", "reported_version": "1.4.0"}


def test_what_was_never_deployed_drifts_from_nothing() -> None:
    _report("1.2.3", "1.3.0")
    _report("1.3.0", "1.4.0")

    assert not Event.objects.filter(type="service.drifted").exists()
