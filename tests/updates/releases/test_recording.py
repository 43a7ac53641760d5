"""Releases: published once, never two artifacts under one version."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from registry.models import Event, Service
from saga_project.shared.errors import InvalidRequest
from tests import factories
from updates import errors, operations
from updates.models import AuditEntry, Job, Release

pytestmark = pytest.mark.django_db

FIRST = operations.Announcement(
    version="1.3.0",
    artifact_url="https://ci.example/payment-1.3.0.tar.gz",
    checksum="sha256:abc123...",
)


def _announce(service: Service, announcement: operations.Announcement) -> Release:
    return operations.announce(service, announcement, by="ci")


def test_an_announcement_is_on_record_and_reported_once() -> None:
    service = factories.ServiceFactory.create()

    first, again = _announce(service, FIRST), _announce(service, FIRST)

    assert first == again
    assert first.checksum == "sha256:abc123..."
    assert first.state == Release.State.AVAILABLE
    assert [event.type for event in Event.objects.all()] == ["release.announced"]
    assert AuditEntry.objects.get().actor == "ci"


@pytest.mark.parametrize(
    ("version", "types"),
    [
        ("1.3.0", ["release.announced", "update.available"]),
        ("1.3.0-rc.1", ["release.announced"]),
        ("1.1.0", ["release.announced"]),
    ],
)
def test_a_release_that_is_newer_than_what_runs_is_an_update(
    version: str, types: list[str]
) -> None:
    service = factories.ServiceFactory.create(version="1.2.3")

    _announce(service, dataclasses.replace(FIRST, version=version))

    assert [event.type for event in Event.objects.order_by("pk")] == types


def _deploy(service: Service) -> None:
    """Bring the first release to run: it was verified, and is immutable from now on."""
    release = Release.objects.get(service=service)
    Job.objects.create(
        job_id=f"deploy-{release.pk}",
        kind="deploy",
        service=service,
        release=release,
        version=release.version,
        strategy="rolling",
        status="succeeded",
        created_at=timezone.now(),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"checksum": "sha256:def456..."},
        {"checksum": "", "artifact_url": "https://ci.example/corrected.tar.gz"},
        {"checksum": "sha256:def456...", "artifact_url": "https://ci.example/corrected.tar.gz"},
    ],
)
def test_a_release_that_was_never_verified_is_corrected_by_another_announcement(
    change: dict[str, Any],
) -> None:
    service = factories.ServiceFactory.create()
    _announce(
        service, dataclasses.replace(FIRST, checksum="" if not change["checksum"] else "sha256:abc")
    )

    release = _announce(service, dataclasses.replace(FIRST, **change))

    release.refresh_from_db()
    expected = {"artifact_url": FIRST.artifact_url, **change}
    assert {name: getattr(release, name) for name in expected} == expected
    assert Event.objects.filter(type="release.announced").count() == 2


def test_refuses_the_same_version_with_another_checksum() -> None:
    service = factories.ServiceFactory.create()
    _announce(service, FIRST)
    _deploy(service)

    with pytest.raises(errors.ReleaseDiffers, match="another checksum"):
        _announce(service, dataclasses.replace(FIRST, checksum="sha256:def456..."))

    assert Release.objects.get().checksum == FIRST.checksum


def test_refuses_the_same_version_from_elsewhere_without_a_checksum() -> None:
    service = factories.ServiceFactory.create()
    _announce(service, dataclasses.replace(FIRST, checksum=""))
    _deploy(service)

    with pytest.raises(errors.ReleaseDiffers, match="another URL"):
        _announce(
            service, dataclasses.replace(FIRST, checksum="", artifact_url="https://x.example/y")
        )


def test_takes_another_url_for_the_same_checksum_as_the_same_release() -> None:
    service = factories.ServiceFactory.create()
    _announce(service, FIRST)

    release = _announce(service, dataclasses.replace(FIRST, artifact_url="https://x.example/y"))

    assert release.artifact_url == FIRST.artifact_url


def test_a_later_announcement_fills_what_the_first_left_open() -> None:
    service = factories.ServiceFactory.create()
    _announce(service, dataclasses.replace(FIRST, checksum=""))

    release = _announce(service, dataclasses.replace(FIRST, size_bytes=12))

    release.refresh_from_db()
    assert (release.checksum, release.size_bytes) == (FIRST.checksum, 12)
    assert Release.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "1..2"},
        {"version": ""},
        {"artifact_type": "floppy"},
        {"artifact_url": "ftp://ci.example/x"},
        {"artifact_url": "https://user:secret@ci.example/x"},
        {"checksum": "x" * 257},
        {"channel": "c" * 65},
    ],
)
def test_refuses_what_cannot_be_a_release(wrong: dict[str, Any]) -> None:
    service = factories.ServiceFactory.create()

    with pytest.raises(InvalidRequest):
        _announce(service, dataclasses.replace(FIRST, **wrong))

    assert not Release.objects.exists()


def test_an_image_is_announced_by_its_reference() -> None:
    reference = "ghcr.io/acme/payment:1.3.0"

    release = _announce(
        factories.ServiceFactory.create(),
        operations.Announcement(version="1.3.0", artifact_type="image", artifact_url=reference),
    )

    assert release.artifact_url == reference


def test_a_quarantined_release_can_be_made_available_again() -> None:
    release = factories.ReleaseFactory.create()

    operations.quarantine(release, by="sam", reason="crashes", at=timezone.now())
    operations.make_available(release, by="sam", reason="it was the cable", at=timezone.now())

    assert release.state == Release.State.AVAILABLE
    assert [entry.action for entry in AuditEntry.objects.order_by("sequence")] == [
        "release.quarantined",
        "release.available",
    ]


def test_moving_a_release_to_where_it_is_publishes_nothing() -> None:
    release = factories.ReleaseFactory.create(state=Release.State.QUARANTINED)

    operations.quarantine(release, by="sam", reason="again", at=dt.datetime.now(dt.UTC))

    assert not Event.objects.exists()


def test_a_withdrawn_release_is_not_quarantined() -> None:
    release = factories.ReleaseFactory.create(state=Release.State.WITHDRAWN)

    with pytest.raises(errors.IllegalReleaseMove):
        operations.quarantine(release, by="sam", reason="late", at=timezone.now())
