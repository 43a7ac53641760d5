"""Fetch artifacts to a content address: what lies under a digest has that digest, or is not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from saga_project.shared import errors, http_client
from updates.artifacts import files
from updates.step_context import StepFailed, StoredArtifact, TransientFailure

MAX_BYTES = 4 * 2**30
SPARE_BYTES = 16 * 2**20
ABANDONED_AFTER_SECONDS = 60
UNNAMED_KEPT_SECONDS = 86_400
_DIGEST = re.compile(r"(?:(sha256|sha384|sha512):)?([0-9a-fA-F]+)")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True, kw_only=True)
class Artifact:
    path: Path
    sha256: str
    size: int


def content_path(sha256: str) -> Path:
    return settings.SAGA_ARTIFACTS_DIR / ".content" / sha256


def named_path(service_name: str, version: str) -> Path:
    """Return where people find the artifact of a release (``artifact_path`` in the history)."""
    return settings.SAGA_ARTIFACTS_DIR / service_name / f"v{version}"


def find(sha256: str) -> Artifact | None:
    """Return what lies under the digest, unless it does not have it."""
    path = content_path(sha256)
    if not sha256 or not path.is_file() or files.sha256(path) != sha256:
        return None
    return Artifact(path=path, sha256=sha256, size=path.stat().st_size)


def fetch_to_store(
    url: str,
    *,
    deadline_seconds: float,
    checkpoint: Callable[[], None],
    report: Callable[[int, str], None],
    headers: Mapping[str, str] | None = None,
    is_labelled: bool = False,
) -> Artifact:
    """Download into the store and return what came; what is left of a failed download is removed.

    ``headers`` go to the URL's own host only.
    With ``is_labelled``, a content encoding says what the file is, and not how it was sent.
    Raises StepFailed with what was wrong with the server, the file or the disk.
    """

    def write(part: IO[bytes]) -> tuple[str, int]:
        with http_client.download(
            url,
            purpose="artifact",
            max_bytes=MAX_BYTES,
            timeout_seconds=deadline_seconds,
            headers=headers or {},
            is_labelled=is_labelled,
        ) as download:
            return _write(part, download.chunks, download.size, checkpoint, report)

    return _keep(write)


def copy_to_store(
    stored: StoredArtifact,
    *,
    checkpoint: Callable[[], None],
    report: Callable[[int, str], None],
) -> Artifact:
    """Copy an artifact of Saga's own store; raises StepFailed for a full disk, or where bytes are missing."""

    def write(part: IO[bytes]) -> tuple[str, int]:
        sha256, size = _write(part, stored.chunks, stored.size, checkpoint, report)
        if size != stored.size:
            raise StepFailed("The uploaded artifact was deleted while it was read.")
        return sha256, size

    return _keep(write)


def _keep(write: Callable[[IO[bytes]], tuple[str, int]]) -> Artifact:
    """Have a new file written, and give it its digest as its name."""
    folder = content_path("x").parent
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".part-", delete=False) as part:
            path = Path(part.name)
            try:
                fcntl.flock(part.fileno(), fcntl.LOCK_EX)
                sha256, size = write(part)
                path.chmod(0o644)
                files.rename(path, content_path(sha256))
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except errors.SagaError as exc:
        failure = TransientFailure if http_client.is_transient(exc) else StepFailed
        raise failure(f"The artifact could not be fetched: {exc.message}") from exc
    except OSError as exc:
        raise StepFailed(f"The artifact could not be stored: {describe_disk(exc)}.") from exc
    return Artifact(path=content_path(sha256), sha256=sha256, size=size)


def _write(
    part: IO[bytes],
    chunks: Iterable[bytes],
    expected: int | None,
    checkpoint: Callable[[], None],
    report: Callable[[int, str], None],
) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    _check_space(Path(part.name).parent, expected)
    for chunk in chunks:
        checkpoint()
        digest.update(chunk)
        part.write(chunk)
        size += len(chunk)
        report(*_progress(size, expected))
    files.sync(part)
    return digest.hexdigest(), size


def _progress(size: int, expected: int | None) -> tuple[int, str]:
    mebibytes = f"{size / 2**20:.1f}"
    if not expected:
        return 0, f"{mebibytes} MiB fetched"
    return size * 100 // expected, f"{mebibytes} of {expected / 2**20:.1f} MiB fetched"


def _check_space(folder: Path, expected: int | None) -> None:
    free = shutil.disk_usage(folder).free
    if free < (expected or 0) + SPARE_BYTES:
        raise OSError(errno.ENOSPC, "No space left on device")


def describe_disk(exc: OSError) -> str:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if exc.errno == errno.EFBIG:
        return "the disk does not take files that large"
    return exc.strerror or "the disk failed"


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed workers left: a part file without a lock has no owner.

    A young one may be on its way from being made to being locked.
    """
    for part in folder.glob(".part-*"):
        if time.time() - part.stat().st_mtime < ABANDONED_AFTER_SECONDS:
            continue
        with part.open("rb") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            part.unlink(missing_ok=True)


def forget_unnamed() -> None:
    """Remove what no release refers to any more; what is young may be on its way from fetch to verify."""
    for path in content_path("x").parent.glob("[0-9a-f]*"):
        status = path.stat()
        is_old = time.time() - status.st_mtime > UNNAMED_KEPT_SECONDS
        if status.st_nlink == 1 and is_old:
            path.unlink(missing_ok=True)


def read_digest(checksum: str) -> tuple[str, str]:
    """Return the algorithm and digest that a checksum names; raises StepFailed for anything else."""
    match = _DIGEST.fullmatch(checksum)
    algorithm = (match[1] or "sha256") if match else ""
    if match is None or len(match[2]) != _HEX_LENGTHS[algorithm]:
        raise StepFailed(
            f"The checksum {checksum[:100]!r} is no digest: sha256: and 64 hexadecimal digits are expected."
        )
    return algorithm, match[2].lower()


def is_digest(checksum: str) -> bool:
    """Whether an artifact can be held against the checksum."""
    match = _DIGEST.fullmatch(checksum)
    return match is not None and len(match[2]) == _HEX_LENGTHS[match[1] or "sha256"]


def verify(artifact: Artifact, *, checksum: str, checkpoint: Callable[[], None]) -> str:
    """Verify the file on disk against the digest in its name, and against the checksum if any.

    Returns a sentence on what was verified; raises StepFailed.
    """
    if files.sha256(artifact.path, checkpoint) != artifact.sha256:
        artifact.path.unlink(missing_ok=True)
        raise StepFailed("The artifact on disk is not what was fetched; it was removed.")
    if not checksum:
        return f"No checksum was given; the artifact is sha256:{artifact.sha256}."
    algorithm, expected = read_digest(checksum)
    with artifact.path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise StepFailed(
            f"The artifact has the digest {algorithm}:{found}, not {algorithm}:{expected} as announced."
        )
    return f"The artifact is {algorithm}:{found}, as announced."
