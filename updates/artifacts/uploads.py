"""Read artifacts of Saga's own store.

The bytes are rows of PostgreSQL: each web host and each worker sees them, a transaction decides whether a
chunk is there, and `saga server backup` has them. Files would need a shared disk for several hosts.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.utils import timezone

from updates.models import Upload
from updates.step_context import StoredArtifact

_CONTENT = re.compile(r"/api/v1/artifacts/([0-9a-f-]{36})/content")


def path_of(upload_id: uuid.UUID) -> str:
    """Return the path below which the content of an upload is served."""
    return f"/api/v1/artifacts/{upload_id}/content"


def id_of(url: str) -> uuid.UUID | None:
    """Return which upload a URL names, None for any other URL."""
    match = _CONTENT.fullmatch(urlsplit(url).path)
    if match is None:
        return None
    try:
        return uuid.UUID(match[1])
    except ValueError:
        return None


def find(url: str, *, service_name: str) -> Upload | None:
    """Return the complete upload of the service that an artifact's URL names, whatever host it names."""
    upload_id = id_of(url)
    if upload_id is None:
        return None
    rows = Upload.objects.filter(
        pk=upload_id, service__name=service_name, completed_at__isnull=False
    )
    return rows.first()


def stored(url: str, *, service_name: str) -> StoredArtifact | None:
    """Return the bytes of the service's upload that a URL names, None for any other URL."""
    upload = find(url, service_name=service_name)
    if upload is None:
        return None
    Upload.objects.filter(pk=upload.pk).update(used_at=timezone.now())
    return StoredArtifact(size=upload.size, chunks=read(upload))


def read(upload: Upload) -> Iterator[bytes]:
    """Yield the bytes in order, a chunk at a time; no transaction is open in between."""
    position = 0
    while position < upload.size:
        data = upload.chunks.filter(position=position).values_list("data", flat=True).first()
        if not data:
            return  # It was deleted meanwhile, as the digest shows.
        yield bytes(data)
        position += len(data)
