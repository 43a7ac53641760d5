"""Unpacking of artifacts: the files of an archive, or one executable file."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from django.conf import settings

from updates.artifacts import archives, files, store
from updates.artifacts.installers import manifests
from updates.step_context import StepContext, StepFailed

ARCHIVE_SUFFIXES = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.xz": "tar.xz",
    ".txz": "tar.xz",
    ".tar.bz2": "tar.bz2",
    ".tbz2": "tar.bz2",
    ".tbz": "tar.bz2",
    ".tar.zst": "tar.zst",
    ".tzst": "tar.zst",
    ".zip": "zip",
}
#: Archives that Saga cannot unpack; refused by name, since as a file they would be installed unopened.
UNKNOWN_SUFFIXES = (
    *(".7z", ".ar", ".arj", ".cab", ".cpio", ".lha", ".lzh", ".rar", ".shar", ".zoo"),
    *(".tar.br", ".tar.lz", ".tlz", ".tar.lz4", ".tar.lzma", ".tar.lzo", ".tar.z", ".taz"),
)
#: Zip files by their content, programs or packages by their use: they are installed as they come.
WHOLE_SUFFIXES = (".jar", ".war", ".ear", ".whl", ".apk", ".nupkg", ".vsix", ".pyz", ".pex", ".xpi")


def put_files(
    context: StepContext, artifact: store.Artifact, part: Path
) -> list[archives.ArchiveEntry]:
    kind = _archive_kind(context, artifact.path)
    if kind is None:
        return [_put_single_file(context, artifact.path, part)]
    return archives.unpack(
        artifact.path, kind=kind, into=part, limits=_limits(), checkpoint=context.checkpoint
    )


def _limits() -> archives.Limits:
    return archives.Limits(
        entries=settings.SAGA_ARCHIVE_MAX_ENTRIES,
        total_bytes=settings.SAGA_ARCHIVE_MAX_BYTES,
        ratio=settings.SAGA_ARCHIVE_MAX_RATIO,
    )


def file_name(context: StepContext) -> str:
    name = PurePosixPath(unquote(urlsplit(context.artifact_url).path)).name
    is_plain = name.isprintable() and not name.startswith(".") and len(name.encode()) < 256
    return name if name and is_plain else context.service_name


def _archive_kind(context: StepContext, path: Path) -> str | None:
    """The content decides; where the name or the request promises an archive, it must be that one."""
    name = file_name(context).lower()
    if context.artifact_type == "binary" and name.endswith(WHOLE_SUFFIXES):
        return None
    found = archives.kind_of(path)
    promised = next((kind for end, kind in ARCHIVE_SUFFIXES.items() if name.endswith(end)), None)
    if promised and found != promised:
        raise StepFailed(f"The artifact is not the {promised} that its name promises.")
    if unknown := next((end for end in UNKNOWN_SUFFIXES if name.endswith(end)), None):
        raise StepFailed(
            f"The artifact is a {unknown} archive; there are {', '.join(archives.KINDS)}."
        )
    if found is None and (context.artifact_type == "archive" or name.endswith(".tar")):
        kinds = ", ".join(archives.KINDS)
        raise StepFailed(f"The artifact is called an archive, but is none of {kinds}.")
    return found


def _put_single_file(context: StepContext, source: Path, part: Path) -> archives.ArchiveEntry:
    path = part / file_name(context)
    shutil.copyfile(source, path)
    path.chmod(0o755)
    with path.open("rb+") as file:
        files.sync(file)
    return manifests.describe(part, [path.name], context.checkpoint)[0]
