"""Pure: which links an archive may hold. A link stays inside the folder however it is followed."""

from __future__ import annotations

from collections.abc import Mapping

from updates.artifacts.archives import names
from updates.artifacts.archives.refusals import HostileArchive

MAX_TARGET_BYTES = 1024
MAX_DEPTH = 64
#: Components that are looked at to resolve one link; the kernel itself follows 40 links.
MAX_STEPS = 500

Parts = tuple[str, ...]


def check_target(name: str, target: str) -> None:
    """Raise HostileArchive unless the target of a symbolic link is a relative path of plain text."""
    if not target:
        raise HostileArchive("symbolic link to nothing", name)
    names.check_characters(target)
    if target.startswith("/"):
        raise HostileArchive("symbolic link to an absolute path", name)
    if "\\" in target:
        raise HostileArchive("symbolic link with a Windows path", name)
    if len(target.encode()) > MAX_TARGET_BYTES:
        raise HostileArchive("symbolic link with a target too long", name)


def check(link: Parts, links: Mapping[Parts, str]) -> None:
    """Follow one link as the kernel would; raise HostileArchive where it leaves the folder at any point.

    ``links`` holds all symbolic links of the archive by their folded path. Called once all are known:
    a link that is harmless alone may leave the folder through another one.
    """
    name = "/".join(link)
    here = list(names.fold(link[:-1]))
    pending = links[names.fold(link)].split("/")[::-1]
    steps = 0
    while pending:
        steps += 1
        part = pending.pop()
        if part == "..":
            if not here:
                raise HostileArchive("symbolic link that leaves the folder", name)
            here.pop()
        elif part not in ("", "."):
            here.append(names.folded(part))
            if (target := links.get(tuple(here))) is not None:
                here.pop()
                pending.extend(target.split("/")[::-1])
        if steps > MAX_STEPS or len(here) > MAX_DEPTH:
            raise HostileArchive("symbolic links that never end", name)
