"""Choose the file of a release that can be deployed; where several fit, ask instead of guessing."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tar.zst", ".tar", ".zip")
#: Digests, signatures, attestations, lists of contents and notes: they accompany a file.
_COMPANIONS = (
    *(".sha256", ".sha512", ".sha1", ".md5", ".sha256sum", ".sha512sum", ".digest", ".txt", ".md"),
    *(".sig", ".asc", ".minisig", ".sigstore", ".pem", ".crt", ".cert", ".pub", ".att"),
    *(".sbom", ".spdx", ".json", ".jsonl", ".yml", ".yaml", ".blockmap"),
)
_COMPANION_WORDS = ("checksum", "sha256sum", "sha512sum", "sha256sums", "sha512sums", "md5sum")
MAX_NAMED = 5


@dataclass(frozen=True)
class AssetChoice:
    """The file, or why there is none; with neither, the release has no files yet."""

    asset: Mapping[str, Any] | None = None
    problem: str = ""


def choose(named: Sequence[tuple[str, Mapping[str, Any]]], pattern: str) -> AssetChoice:
    """Return the one file that ``pattern`` (a glob) names; without it the only archive, or the only file."""
    if pattern:
        fit = [pair for pair in named if fnmatch.fnmatchcase(pair[0], pattern)]
        fit = [pair for pair in fit if not is_companion(pair[0])] or fit
        if not fit and named:
            return AssetChoice(
                problem=f"No file fits the asset pattern {pattern}: {_names(named)}."
            )
    else:
        files = [pair for pair in named if not is_companion(pair[0])]
        fit = [pair for pair in files if pair[0].lower().endswith(ARCHIVES)] or files
    if len(fit) > 1:
        return AssetChoice(
            problem=f"Several files fit: {_names(fit)}. Name one by the source's option 'asset'."
        )
    return AssetChoice(asset=fit[0][1]) if fit else AssetChoice()


def is_companion(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(_COMPANIONS) or any(word in lower for word in _COMPANION_WORDS)


def _names(pairs: Sequence[tuple[str, Any]]) -> str:
    names = [name for name, _ in pairs]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
