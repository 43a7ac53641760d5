"""What CI may say of a release beyond the printed example, and freezes at the edge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.identity import accounts
from updates.models import AuditEntry, Freeze, Job, Release

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

RELEASE = {
    "service_name": "payment-service",
    "version": "1.3.0",
    "artifact_url": "https://ci.example/payment-1.3.0.tar.gz",
    "checksum": "sha256:abc123...",
}


def _post(api: APIClient, route: str, body: dict[str, Any], **headers: str) -> Any:
    return api.post(f"/api/v1/webhooks/{route}", body, format="json", headers=headers)


def _bearer(*scopes: str) -> dict[str, str]:
    account = accounts.ensure_account("ci", scopes=list(scopes))
    _, text = accounts.issue_token(account, scopes=list(scopes))
    return {"Authorization": f"Bearer {text}"}


def _freeze() -> None:
    today = dt.datetime.now(dt.UTC).date()
    Freeze.objects.create(name="stocktaking", starts_on=today, ends_on=today + dt.timedelta(days=2))


def test_a_release_is_kept_as_it_was_announced(api: APIClient) -> None:
    extras = {
        "size": 1048576,
        "signature": "untrusted comment: …",
        "notes": "What changed.",
        "channel": "stable",
        "published_at": "2026-02-01T10:00:00+01:00",
    }

    response = _post(api, "update", {**RELEASE, **extras})

    assert response.status_code == 202
    release = Release.objects.get()
    assert (release.size_bytes, release.notes, release.channel) == (
        1048576,
        "What changed.",
        "stable",
    )
    assert release.published_at == dt.datetime(2026, 2, 1, 9, tzinfo=dt.UTC)
    assert release.signature == extras["signature"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": -1},
        {"size": "12"},
        {"size": 2**70},
        {"size": True},
        {"published_at": "yesterday"},
        {"published_at": 7},
        {"channel": "c" * 65},
        {"artifact_type": "floppy"},
    ],
)
def test_refuses_what_a_release_cannot_have(api: APIClient, wrong: dict[str, Any]) -> None:
    assert _post(api, "update", {**RELEASE, **wrong}).status_code == 400

    assert not Release.objects.exists()


def test_the_same_version_with_another_checksum_is_a_conflict(api: APIClient) -> None:
    _post(api, "update", RELEASE)
    _post(api, "deploy", RELEASE)
    Job.objects.update(status="succeeded")

    response = _post(api, "update", {**RELEASE, "checksum": "sha256:def456..."})

    assert (response.status_code, response.json()["error"]) == (409, "Release differs")


def test_deployment_in_a_freeze_is_refused(api: APIClient) -> None:
    _freeze()

    response = _post(api, "deploy", RELEASE)

    assert (response.status_code, response.json()["error"]) == (409, "Changes are frozen")
    assert not Job.objects.exists()


def test_a_freeze_is_overridden_with_the_permission_and_a_reason(api: APIClient) -> None:
    _freeze()

    response = _post(
        api, "deploy", {**RELEASE, "override_reason": "fire"}, **_bearer("admin:registry")
    )

    assert response.status_code == 202
    entry = AuditEntry.objects.get(action="calendar.overridden")
    assert (entry.actor, entry.data["reason"]) == ("ci", "fire")


@pytest.mark.parametrize("scopes", [(), ("updates:deploy",)])
def test_an_override_without_the_permission_is_refused(
    api: APIClient, scopes: tuple[str, ...]
) -> None:
    _freeze()
    headers = _bearer(*scopes) if scopes else {}

    response = _post(api, "deploy", {**RELEASE, "override_reason": "fire"}, **headers)

    assert (response.status_code, response.json()["error"]) == (403, "Override not allowed")
    assert not Job.objects.exists()
