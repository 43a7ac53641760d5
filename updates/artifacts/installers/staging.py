"""Get a release's artifact into the store, and hold it against what was announced and signed."""

from __future__ import annotations

from urllib.parse import urlsplit

from saga_project.shared import http_client
from saga_project.shared.errors import SagaError
from updates.artifacts import files, signatures, store
from updates.step_context import Outcome, StepFailed, TransientFailure, Work

COMPRESSED_SUFFIXES = (".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".tbz", ".zst", ".tzst")


def fetch(work: Work) -> Outcome:
    """Find the artifact in the store, or download it; every download of a job must be the same."""
    if found := store.find(work.artifact_sha256 or announced_sha256(work)):
        return _fetched(found, "The artifact is in the store already.")
    artifact = _copy_or_download(work)
    if work.artifact_sha256 and artifact.sha256 != work.artifact_sha256:
        artifact.path.unlink(missing_ok=True)
        raise StepFailed(
            f"The URL gave two different artifacts: first sha256:{work.artifact_sha256}, now"
            f" sha256:{artifact.sha256}."
        )
    return _fetched(artifact, f"Fetched {artifact.size:,} bytes.")


def _copy_or_download(work: Work) -> store.Artifact:
    if stored := work.stored_artifact():
        return store.copy_to_store(stored, checkpoint=work.checkpoint, report=work.report)
    return store.fetch_to_store(
        work.artifact_url,
        deadline_seconds=work.deadline_seconds,
        checkpoint=work.checkpoint,
        report=work.report,
        headers=_headers(work),
        is_labelled=_is_labelled(work),
    )


def _headers(work: Work) -> dict[str, str]:
    try:
        return work.artifact_headers()
    except SagaError as exc:
        failure = TransientFailure if http_client.is_transient(exc) else StepFailed
        raise failure(f"The artifact's host could not be asked: {exc.message}") from exc


def _is_labelled(work: Work) -> bool:
    """True where a content encoding can only be a label: the name has it, or a digest decides."""
    name = urlsplit(work.artifact_url).path.lower()
    return bool(work.checksum) or name.endswith(COMPRESSED_SUFFIXES)


def announced_sha256(work: Work) -> str:
    bare = work.checksum.lower().removeprefix("sha256:")
    return bare if len(bare) == 64 else ""


def _fetched(artifact: store.Artifact, message: str) -> Outcome:
    result = {"sha256": artifact.sha256, "size": artifact.size}
    return Outcome(message=message, result=result)


def verify(work: Work) -> Outcome:
    """Verify what lies in the store, and give it the name under which people find it."""
    artifact = artifact_of(work)
    message = store.verify(artifact, checksum=work.checksum, checkpoint=work.checkpoint)
    if work.is_signature_required:
        message += " " + signatures.verify(work, artifact)
    files.share(artifact.path, store.named_path(work.service_name, work.version))
    return Outcome(message=message)


def artifact_of(work: Work) -> store.Artifact:
    path = store.content_path(work.artifact_sha256)
    if not work.artifact_sha256 or not path.is_file():
        raise StepFailed("The fetched artifact is no longer in the store; retry the deployment.")
    return store.Artifact(path=path, sha256=work.artifact_sha256, size=path.stat().st_size)
