"""What an artifact becomes on disk: the files of an archive, or one file that is ready to run."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from updates.artifacts import archives, files, store
from updates.artifacts.installers import manifests
from updates.step_context import StepFailed, Work

ARCHIVE_SUFFIXES = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.xz": "tar.xz",
    ".txz": "tar.xz",
    ".zip": "zip",
}
#: Zip files by their content, programs or packages by their use: they are installed as they come.
WHOLE_SUFFIXES = (".jar", ".war", ".ear", ".whl", ".apk", ".nupkg", ".vsix", ".pyz", ".pex", ".xpi")


def put_files(work: Work, artifact: store.Artifact, part: Path) -> list[archives.Entry]:
    kind = _archive_kind(work, artifact.path)
    if kind is None:
        return [_put_single_file(work, artifact.path, part)]
    return archives.unpack(artifact.path, kind=kind, into=part, checkpoint=work.checkpoint)


def file_name(work: Work) -> str:
    name = PurePosixPath(unquote(urlsplit(work.artifact_url).path)).name
    is_plain = name.isprintable() and not name.startswith(".") and len(name.encode()) < 256
    return name if name and is_plain else work.service_name


def _archive_kind(work: Work, path: Path) -> str | None:
    """The content decides; where the name or the request promises an archive, it must be that one."""
    name = file_name(work).lower()
    if work.artifact_type == "binary" and name.endswith(WHOLE_SUFFIXES):
        return None
    found = archives.kind_of(path)
    promised = next((kind for end, kind in ARCHIVE_SUFFIXES.items() if name.endswith(end)), None)
    if promised and found != promised:
        raise StepFailed(f"The artifact is not the {promised} that its name promises.")
    if work.artifact_type == "archive" and found is None:
        raise StepFailed(
            "The artifact is no tar.gz, tar.xz or zip, although it is called an archive."
        )
    return found


def _put_single_file(work: Work, source: Path, part: Path) -> archives.Entry:
    path = part / file_name(work)
    shutil.copyfile(source, path)
    path.chmod(0o755)
    with path.open("rb+") as file:
        files.sync(file)
    return manifests.describe(part, [path.name], work.checkpoint)[0]
