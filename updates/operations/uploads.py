"""Receive artifacts in chunks: resumable, bounded, and complete only with the announced digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.operations import ensure_service
from saga_project.shared import locks
from updates import errors
from updates.artifacts import uploads
from updates.history import audit
from updates.models import Job, Release, Upload, UploadChunk

MAX_CHUNK_BYTES = 1024 * 1024
#: What no release refers to goes after a day, complete or not.
UNUSED_KEPT = dt.timedelta(days=1)
#: The newest of a service stay, older ones for so long after their last use.
KEPT_PER_SERVICE = 10
OLD_KEPT = dt.timedelta(days=30)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class UploadOffer:
    """A file that a caller wants to upload."""

    service_name: str
    sha256: str
    size: int
    name: str


def begin(offer: UploadOffer, *, by: Caller | None, now: dt.datetime) -> tuple[Upload, bool]:
    """Return the upload of this file and whether it is new; one that was interrupted goes on where it was."""
    if not _SHA256.fullmatch(offer.sha256):
        raise errors.InvalidUpload(
            "'sha256' is 64 hexadecimal digits in lower case.", field="sha256"
        )
    if not 1 <= offer.size <= settings.SAGA_UPLOAD_MAX_BYTES:
        raise errors.InvalidUpload(
            f"'size' is from 1 to {settings.SAGA_UPLOAD_MAX_BYTES} bytes (SAGA_UPLOAD_MAX_BYTES).",
            field="size",
        )
    with transaction.atomic():
        locks.acquire(locks.Lock.UPLOADS)
        service = ensure_service(offer.service_name, by=by)
        known = Upload.objects.filter(service=service, sha256=offer.sha256).first()
        if known is not None:
            if known.size != offer.size:
                raise errors.InvalidUpload(
                    f"The file with this digest has {known.size} bytes.", field="size"
                )
            return known, False
        _check_room(offer.size)
        upload = Upload.objects.create(
            service=service,
            sha256=offer.sha256,
            name=offer.name,
            size=offer.size,
            created_by=str(by) if by else "anonymous",
            created_at=now,
            used_at=now,
        )
    return upload, True


def _check_room(size: int) -> None:
    used = Upload.objects.aggregate(total=Sum("size"))["total"] or 0
    if used + size > settings.SAGA_UPLOADS_TOTAL_BYTES:
        raise errors.UploadStoreFull(
            f"Uploaded artifacts take {used} of {settings.SAGA_UPLOADS_TOTAL_BYTES} bytes"
            " (SAGA_UPLOADS_TOTAL_BYTES); delete some with DELETE /artifacts/{id}."
        )


def append(
    upload_id: UUID, *, position: int, data: bytes, by: Caller | None, now: dt.datetime
) -> Upload:
    """Store the bytes at ``position``; the same chunk again changes nothing.

    The last byte completes the upload. Where the digest is not the announced one, all of it is deleted.
    Raises UploadDiffers, ChunkMisplaced, InvalidUpload.
    """
    if not 1 <= len(data) <= MAX_CHUNK_BYTES:
        raise errors.InvalidUpload(f"A chunk has from 1 to {MAX_CHUNK_BYTES} bytes.")
    with transaction.atomic():
        upload = _locked(upload_id, by)
        end = position + len(data)
        if end > upload.size:
            raise errors.InvalidUpload(f"The file was announced with {upload.size} bytes.")
        if upload.is_complete or end <= upload.received:
            return upload
        if position != upload.received:
            raise errors.ChunkMisplaced(
                f"{upload.received} bytes are stored; continue with offset={upload.received}."
            )
        UploadChunk.objects.create(upload=upload, position=position, data=data)
        upload.received, upload.used_at = end, now
        found = _digest(upload) if end == upload.size else upload.sha256
        if found != upload.sha256:
            upload.delete()
        else:
            _keep(upload, by, now)
    if found != upload.sha256:
        raise errors.UploadDiffers(
            f"The bytes have the digest sha256:{found}, not sha256:{upload.sha256} as announced; they were"
            " deleted. Upload the file again."
        )
    return upload


def _keep(upload: Upload, by: Caller | None, now: dt.datetime) -> None:
    if upload.received == upload.size:
        upload.completed_at = now
        _audit("artifact.uploaded", upload, by, now)
    upload.save(update_fields=["received", "used_at", "completed_at"])


def _digest(upload: Upload) -> str:
    digest = hashlib.sha256()
    for chunk in uploads.read(upload):
        digest.update(chunk)
    return digest.hexdigest()


def delete(upload_id: UUID, *, by: Caller | None, now: dt.datetime) -> None:
    """Delete an upload; raises UploadInUse while a deployment needs it."""
    with transaction.atomic():
        upload = _locked(upload_id, by)
        if Job.objects.live().filter(artifact_url__contains=uploads.path_of(upload.pk)).exists():
            raise errors.UploadInUse("A deployment that is under way needs this artifact.")
        _audit("artifact.deleted", upload, by, now)
        upload.delete()


def _audit(action: str, upload: Upload, by: Caller | None, now: dt.datetime) -> None:
    audit.record(
        action,
        actor=str(by) if by else "anonymous",
        service_name=upload.service.name,
        data={"name": upload.name, "sha256": upload.sha256, "size": upload.size},
        at=now,
    )


def _locked(upload_id: UUID, by: Caller | None) -> Upload:
    rows = Upload.objects.select_for_update(of=("self",)).select_related("service")
    upload = rows.filter(pk=upload_id).first()
    if upload is None:
        raise errors.UploadNotFound(f"There is no artifact {upload_id}.")
    accounts.check_may_change(by, upload.service.name, owner_id=upload.service.account_id)
    return upload


def purge(*, now: dt.datetime) -> int:
    """Delete what no release needs any more; returns the number of uploads."""
    old = Upload.objects.filter(used_at__lt=now - UNUSED_KEPT).order_by("service_id", "-created_at")
    deleted = 0
    for upload in old.iterator(chunk_size=200):
        if not _is_needed(upload, now):
            deleted += bool(Upload.objects.filter(pk=upload.pk, used_at=upload.used_at).delete()[0])
    return deleted


def _is_needed(upload: Upload, now: dt.datetime) -> bool:
    path = uploads.path_of(upload.pk)
    if not upload.is_complete:
        return False
    if Job.objects.live().filter(service=upload.service_id, artifact_url__contains=path).exists():
        return True
    releases = Release.objects.filter(service=upload.service_id, artifact_url__contains=path)
    if not releases.exists():
        return False
    newer = Upload.objects.filter(service=upload.service_id, created_at__gt=upload.created_at)
    return newer.count() < KEPT_PER_SERVICE or upload.used_at > now - OLD_KEPT
