"""Get a release's artifact into the store, and hold it against what was announced and signed."""

from __future__ import annotations

from urllib.parse import urlsplit

from saga_project.shared import http_client
from saga_project.shared.errors import SagaError
from updates.artifacts import files, signatures, store
from updates.step_context import Outcome, StepContext, StepFailed, TransientFailure

COMPRESSED_SUFFIXES = (".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".tbz", ".zst", ".tzst")


def fetch(context: StepContext) -> Outcome:
    """Find the artifact in the store, or download it; every download of a job must be the same."""
    if found := store.find(context.artifact_sha256 or announced_sha256(context)):
        return _fetched(found, "The artifact is in the store already.")
    artifact = _copy_or_download(context)
    if context.artifact_sha256 and artifact.sha256 != context.artifact_sha256:
        artifact.path.unlink(missing_ok=True)
        raise StepFailed(
            f"The URL gave two different artifacts: first sha256:{context.artifact_sha256}, now"
            f" sha256:{artifact.sha256}."
        )
    return _fetched(artifact, f"Fetched {artifact.size:,} bytes.")


def _copy_or_download(context: StepContext) -> store.Artifact:
    if stored := context.stored_artifact():
        return store.copy_to_store(stored, checkpoint=context.checkpoint, report=context.report)
    return store.fetch_to_store(
        context.artifact_url,
        deadline_seconds=context.deadline_seconds,
        checkpoint=context.checkpoint,
        report=context.report,
        headers=_headers(context),
        is_labelled=_is_labelled(context),
    )


def _headers(context: StepContext) -> dict[str, str]:
    try:
        return context.artifact_headers()
    except SagaError as exc:
        failure = TransientFailure if http_client.is_transient(exc) else StepFailed
        raise failure(f"The artifact's host could not be asked: {exc.message}") from exc


def _is_labelled(context: StepContext) -> bool:
    """True where a content encoding can only be a label: the name has it, or a digest decides."""
    name = urlsplit(context.artifact_url).path.lower()
    return bool(context.checksum) or name.endswith(COMPRESSED_SUFFIXES)


def announced_sha256(context: StepContext) -> str:
    bare = context.checksum.lower().removeprefix("sha256:")
    return bare if len(bare) == 64 else ""


def _fetched(artifact: store.Artifact, message: str) -> Outcome:
    result = {"sha256": artifact.sha256, "size": artifact.size}
    return Outcome(message=message, result=result)


def verify(context: StepContext) -> Outcome:
    """Verify what lies in the store, and give it the name under which people find it."""
    artifact = artifact_of(context)
    message = store.verify(artifact, checksum=context.checksum, checkpoint=context.checkpoint)
    if context.is_signature_required:
        message += " " + signatures.verify(context, artifact)
    files.share(artifact.path, store.named_path(context.service_name, context.version))
    return Outcome(message=message)


def artifact_of(context: StepContext) -> store.Artifact:
    path = store.content_path(context.artifact_sha256)
    if not context.artifact_sha256 or not path.is_file():
        raise StepFailed("The fetched artifact is no longer in the store; retry the deployment.")
    return store.Artifact(path=path, sha256=context.artifact_sha256, size=path.stat().st_size)
