"""Deployments of artifacts in Saga's own store: copied from the rows, never asked for over the network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.utils import timezone

from registry.models import Service
from registry.operations import ensure_service
from tests.updates.artifacts.archives import hostile
from tests.updates.rollouts.conftest import installed, run
from updates import operations
from updates.artifacts import uploads
from updates.models import Job, UploadChunk
from updates.operations import uploads as receiving
from updates.releases import recording


def store(service_name: str, version: str) -> recording.Announcement:
    data = hostile.good_tar_gz({"VERSION": version.encode(), "filler": bytes(2048)})
    sha256 = hashlib.sha256(data).hexdigest()
    offer = receiving.UploadOffer(
        service_name=service_name, sha256=sha256, size=len(data), name="shop.tar.gz"
    )
    now = timezone.now()
    upload, _ = receiving.begin(offer, by=None, now=now)
    for position in range(0, len(data), 100):
        chunk = data[position : position + 100]
        receiving.append(upload.pk, position=position, data=chunk, by=None, now=now)
    return recording.Announcement(
        version=version,
        # Nothing answers there: the path names the upload.
        artifact_url=f"http://127.0.0.1:9{uploads.path_of(upload.pk)}",
        checksum=f"sha256:{sha256}",
        artifact_type="archive",
    )


def test_uploaded_artifact_is_deployed(service: Service, root: Path) -> None:
    job = run(operations.deploy(service, store("shop", "1.0.0"), by="ci"))

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert installed(root) == "1.0.0"


def test_artifact_of_another_service_is_not_read(service: Service) -> None:
    ensure_service("other")
    job = run(operations.deploy(service, store("other", "1.0.0"), by="ci"))

    assert job.status == Job.Status.FAILED
    assert "could not be fetched" in job.error


def test_artifact_that_lost_bytes_fails_the_step(service: Service) -> None:
    announcement = store("shop", "1.0.0")
    UploadChunk.objects.filter(position=0).delete()

    job = run(operations.deploy(service, announcement, by="ci"))

    assert job.status == Job.Status.FAILED
    assert "was deleted while it was read" in job.error
