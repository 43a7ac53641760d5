"""Artifacts in Saga's own store: chunks in order, one digest on both sides, bounds, and what is kept."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from tests import factories
from tests.api_clients import Bearer, Headers
from updates.models import AuditEntry, Job, Upload, UploadChunk
from updates.operations import uploads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

DATA = bytes(range(256)) * 10


@pytest.fixture
def ci(bearer: Bearer) -> Headers:
    return bearer("artifacts:read", "artifacts:write", account="ci")


def begin(api: APIClient, headers: Headers, data: bytes = DATA, **changes: Any) -> Any:
    body = {
        "service_name": "shop",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "name": "shop.tar.gz",
    }
    return api.post("/api/v1/artifacts", {**body, **changes}, format="json", headers=headers)


def put(api: APIClient, headers: Headers, upload_id: str, offset: int, data: bytes) -> Any:
    return api.put(
        f"/api/v1/artifacts/{upload_id}?offset={offset}",
        data,
        content_type="application/octet-stream",
        headers=headers,
    )


def test_artifact_that_was_uploaded_in_chunks_is_downloaded_whole(
    api: APIClient, ci: Headers
) -> None:
    upload_id = begin(api, ci).json()["id"]

    first = put(api, ci, upload_id, 0, DATA[:1000]).json()
    last = put(api, ci, upload_id, 1000, DATA[1000:]).json()

    content = api.get(last["path"], headers=ci)
    assert (first["received"], first["is_complete"]) == (1000, False)
    assert (last["received"], last["is_complete"]) == (len(DATA), True)
    assert content.getvalue() == DATA
    assert content["Content-Length"] == str(len(DATA))
    entry = AuditEntry.objects.get(action="artifact.uploaded")
    assert (entry.actor, entry.data["size"]) == ("ci", len(DATA))


def test_interrupted_upload_is_found_by_its_digest_and_goes_on(api: APIClient, ci: Headers) -> None:
    put(api, ci, begin(api, ci).json()["id"], 0, DATA[:1000])

    again = begin(api, ci)

    assert (again.status_code, again.json()["received"]) == (200, 1000)


def test_chunk_that_arrives_twice_changes_nothing_and_a_gap_is_refused(
    api: APIClient, ci: Headers
) -> None:
    upload_id = begin(api, ci).json()["id"]
    put(api, ci, upload_id, 0, DATA[:1000])

    twice = put(api, ci, upload_id, 0, DATA[:1000])
    gap = put(api, ci, upload_id, 1001, DATA[1001:])
    overlap = put(api, ci, upload_id, 999, DATA[999:])

    assert (twice.status_code, twice.json()["received"]) == (200, 1000)
    assert (gap.status_code, overlap.status_code) == (409, 409)
    assert "offset=1000" in gap.json()["message"]
    assert UploadChunk.objects.count() == 1


def test_bytes_with_another_digest_are_deleted(api: APIClient, ci: Headers) -> None:
    upload_id = begin(api, ci).json()["id"]

    answer = put(api, ci, upload_id, 0, b"x" * len(DATA))

    assert (answer.status_code, answer.json()["error"]) == (400, "Digest differs")
    assert not Upload.objects.exists()
    assert not UploadChunk.objects.exists()


def test_content_of_an_incomplete_artifact_is_not_served(api: APIClient, ci: Headers) -> None:
    document = begin(api, ci).json()

    assert api.get(document["path"], headers=ci).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "A" * 64},
        {"sha256": "../../etc"},
        {"size": 0},
        {"size": 2**40},
        {"name": "a\0b"},
        {"service_name": "../shop"},
    ],
)
def test_offer_that_breaks_a_rule_is_refused(
    api: APIClient, ci: Headers, change: dict[str, Any]
) -> None:
    assert begin(api, ci, **change).status_code == 400
    assert not Upload.objects.exists()


def test_chunks_are_bounded_by_a_mebibyte_and_by_the_announced_size(
    api: APIClient, ci: Headers
) -> None:
    upload_id = begin(api, ci).json()["id"]

    too_large = put(api, ci, upload_id, 0, b"x" * (1024 * 1024 + 1))
    too_many = put(api, ci, upload_id, 0, DATA + b"x")
    nothing = put(api, ci, upload_id, 0, b"")

    assert [too_large.status_code, too_many.status_code, nothing.status_code] == [413, 400, 400]


def test_all_uploads_together_are_bounded(api: APIClient, ci: Headers, settings: Settings) -> None:
    settings.SAGA_UPLOADS_TOTAL_BYTES = len(DATA) + 10
    begin(api, ci)

    answer = begin(api, ci, data=b"y" * 11)

    assert (answer.status_code, answer.json()["error"]) == (409, "Artifact store full")


def test_another_account_neither_sees_nor_changes_an_artifact(
    api: APIClient,
    ci: Headers,
    bearer: Bearer,
    settings: Settings,
) -> None:
    settings.SAGA_AUTH = "required"
    document = begin(api, ci).json()
    other = bearer("artifacts:read", "artifacts:write", account="other")

    assert api.get("/api/v1/artifacts", headers=other).json()["total"] == 0
    assert api.get(document["path"], headers=other).status_code == 404
    assert put(api, other, document["id"], 0, DATA).status_code == 403
    assert begin(api, other).status_code == 403
    assert api.delete(f"/api/v1/artifacts/{document['id']}", headers=other).status_code == 403


def test_artifact_of_a_live_deployment_is_not_deleted(api: APIClient, ci: Headers) -> None:
    document = begin(api, ci).json()
    upload = Upload.objects.get()
    job = factories.JobFactory.create(
        service=upload.service, artifact_url=f"http://saga{document['path']}", status="running"
    )
    place = f"/api/v1/artifacts/{document['id']}"

    while_live = api.delete(place, headers=ci)
    Job.objects.filter(pk=job.pk).update(status="succeeded")
    afterwards = api.delete(place, headers=ci)

    assert (while_live.status_code, afterwards.status_code) == (409, 204)


def stored(name: str, *, days_old: int, is_complete: bool = True) -> Upload:
    at = timezone.now() - dt.timedelta(days=days_old)
    service = factories.ServiceFactory.create() if name == "alone" else None
    return Upload.objects.create(
        service=service or factories.ServiceFactory.create(),
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        name=name,
        size=1,
        created_at=at,
        used_at=at,
        completed_at=at if is_complete else None,
    )


def test_purge_deletes_what_no_release_needs() -> None:
    young, unused = stored("young", days_old=0), stored("unused", days_old=2)
    partial, released = stored("partial", days_old=2, is_complete=False), stored("old", days_old=90)
    factories.ReleaseFactory.create(
        service=released.service,
        artifact_url=f"https://saga/api/v1/artifacts/{released.pk}/content",
    )

    assert uploads.purge(now=timezone.now()) == 2

    assert set(Upload.objects.all()) == {young, released}
    assert unused not in Upload.objects.all()
    assert partial not in Upload.objects.all()


def test_only_the_newest_releases_keep_artifacts_that_are_no_longer_used() -> None:
    first = stored("0", days_old=90)
    for number in range(uploads.KEPT_PER_SERVICE + 1):
        row = stored(str(number + 1), days_old=80 - number)
        Upload.objects.filter(pk=row.pk).update(service=first.service)
    for row in Upload.objects.all():
        factories.ReleaseFactory.create(
            service=first.service,
            version=row.name,
            artifact_url=f"https://saga/api/v1/artifacts/{row.pk}/content",
        )

    uploads.purge(now=timezone.now())

    assert sorted(int(row.name) for row in Upload.objects.all()) == list(range(2, 12))
