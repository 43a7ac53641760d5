"""How a source is set up: its rules by field, and what the address of a project's page says of it."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from updates.models import Source
from updates.releases import sources

_ANNOUNCED = sources.Shape(reads_as="empty")
MIN_INTERVAL_SECONDS = 60


def faults(source: Source) -> dict[str, str]:
    """Return what is wrong with a source, by the name of the field; empty where it can be asked."""
    shape = sources.SHAPES.get(source.kind, _ANNOUNCED)
    found = {"options": shape.option_fault(source.options)}
    if shape is _ANNOUNCED:
        wrong = "Announced releases are not asked for: leave it empty, or choose another kind."
        found["location"] = wrong if source.location else ""
    else:
        found["location"] = shape.location_fault(source.location)
        found["base_url"] = shape.server_fault(source.base_url)
    if source.interval_seconds < MIN_INTERVAL_SECONDS:
        found["interval_seconds"] = f"At least {MIN_INTERVAL_SECONDS} seconds pass between checks."
    return {name: fault for name, fault in found.items() if fault}


# --- Addresses ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an address says of a source."""

    kind: str
    location: str
    base_url: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def recognise(address: str) -> Setup | None:
    """Return the source that the address of a project's page, repository or image names; None for others.

    Files are addresses as well: a chart's ``…/index.yaml#chart``, a ``….git``, a ``….json``.
    """
    text = address.strip()
    if found := _SSH.fullmatch(text):
        text = f"https://{found['host']}/{found['path']}"
    if "://" not in text:
        return _image(text)
    try:
        parts = urllib.parse.urlsplit(text)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https", "oci") or not host:
        return None
    path = [part for part in urllib.parse.unquote(parts.path).split("/") if part]
    if parts.scheme == "oci" or host in _REGISTRIES:
        return _image("/".join((parts.netloc, *path)))
    if host in _PAGES:
        return _PAGES[host](path)
    return _by_path(parts, host, path)


_SSH = re.compile(r"(?:ssh://)?git@(?P<host>[A-Za-z0-9.-]+)[:/](?P<path>.+)")
_IMAGE = re.compile(
    r"(?:docker pull )?(?P<name>[a-z0-9][a-z0-9._:/-]*?)(?P<tag>:[A-Za-z0-9_][A-Za-z0-9._-]*)?"
    r"(?:@sha256:[0-9a-f]+)?"
)
_REGISTRIES = {
    "ghcr.io",
    "quay.io",
    "docker.io",
    "registry-1.docker.io",
    "gcr.io",
    "mcr.microsoft.com",
}


def _image(text: str) -> Setup | None:
    """Read an image's reference; ``owner/name`` alone may be a repository as well, so it needs a tag."""
    found = _IMAGE.fullmatch(text)
    if found is None:
        return None
    first, slash, _ = found["name"].partition("/")
    has_host = bool(slash) and ("." in first or ":" in first)
    is_image = has_host or found["tag"] or text.startswith("docker pull ")
    if not is_image or sources.SHAPES["oci"].location_fault(found["name"]):
        return None
    return Setup(kind="oci", location=found["name"])


def _first(
    kind: str, count: int, *, after: tuple[str, ...] = ()
) -> Callable[[list[str]], Setup | None]:
    """Return a reader of pages whose path begins with ``after`` and then names the location in parts."""

    def read(path: list[str]) -> Setup | None:
        own = path[len(after) : len(after) + count]
        if tuple(path[: len(after)]) != after or len(own) < count:
            return None
        return Setup(kind=kind, location="/".join(own).removesuffix(".git"))

    return read


def _gitlab(path: list[str]) -> Setup | None:
    """Read the path of a project: what stands before ``/-/``."""
    own = path[: path.index("-")] if "-" in path else path
    if len(own) < 2:
        return None
    return Setup(kind="gitlab", location="/".join(own).removesuffix(".git"))


def _npm(path: list[str]) -> Setup | None:
    own = path[1:3] if path[1:2] and path[1].startswith("@") else path[1:2]
    named = path[:1] == ["package"] and own
    return Setup(kind="npm", location="/".join(own)) if named else None


def _docker_hub(path: list[str]) -> Setup | None:
    official = {"_": path[1:2], "r": path[1:3]}.get(path[0] if path else "", [])
    return Setup(kind="oci", location="/".join(official)) if official else None


def _go(path: list[str]) -> Setup | None:
    own = [part.partition("@")[0] for part in path]
    return Setup(kind="go", location="/".join(own)) if own else None


def _maven(path: list[str]) -> Setup | None:
    is_artifact = path[:1] == ["artifact"] and len(path) >= 3
    return Setup(kind="maven", location=f"{path[1]}:{path[2]}") if is_artifact else None


_PAGES: dict[str, Callable[[list[str]], Setup | None]] = {
    "github.com": _first("github", 2),
    "gitlab.com": _gitlab,
    "pypi.org": _first("pypi", 1, after=("project",)),
    "npmjs.com": _npm,
    "crates.io": _first("crates", 1, after=("crates",)),
    "rubygems.org": _first("rubygems", 1, after=("gems",)),
    "pkg.go.dev": _go,
    "endoflife.date": _first("endoflife", 1),
    "hub.docker.com": _docker_hub,
    "central.sonatype.com": _maven,
    "search.maven.org": _maven,
    "mvnrepository.com": _maven,
}


_gitea = _first("gitea", 2)
_FORGES = {"codeberg.org": _gitea, "gitea.com": _gitea}
_FORGE_WORDS = {"gitlab": _gitlab, "gitea": _gitea, "forgejo": _gitea}


def _by_path(parts: urllib.parse.SplitResult, host: str, path: list[str]) -> Setup | None:
    """Recognise a server of one's own: by a word in its name, or by the file that it is asked for."""
    origin = f"{parts.scheme}://{parts.netloc}"
    here = f"{origin}{parts.path}"
    word = next((word for word in _FORGE_WORDS if word in host), "")
    read_forge = _FORGES.get(host) or _FORGE_WORDS.get(word)
    forge = read_forge(path) if read_forge else None
    if forge is not None:
        return Setup(kind=forge.kind, location=forge.location, base_url=origin)
    if parts.path.endswith("/index.yaml") and parts.fragment:
        return Setup(
            kind="helm", location=parts.fragment, base_url=here.removesuffix("/index.yaml")
        )
    if parts.path.endswith(".git"):
        return Setup(kind="git", location=here)
    if parts.path.endswith(".json"):
        document = f"{here}?{parts.query}" if parts.query else here
        pointer = parts.fragment if parts.fragment.startswith("/") else "/version"
        return Setup(kind="json", location=document, options={"pointers": {"version": pointer}})
    return None
