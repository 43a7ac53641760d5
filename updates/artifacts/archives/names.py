"""Pure: which names an archive may use for what it holds."""

from __future__ import annotations

import re
import unicodedata

from updates.artifacts.archives.refusals import HostileArchive

MAX_DEPTH = 32
MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 4096
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_DRIVE = re.compile(r"[A-Za-z]:")


def split(name: str) -> tuple[str, ...]:
    """Return the parts of a name that stays inside its folder; () for the folder itself."""
    check_characters(name)
    if name.startswith("/"):
        raise HostileArchive("absolute name", name)
    if "\\" in name or _DRIVE.match(name):
        raise HostileArchive("Windows path in a name", name)
    bare = name.removeprefix("./").removesuffix("/")
    if bare in ("", ".") and name:
        return ()
    parts = tuple(bare.split("/"))
    if ".." in parts:
        raise HostileArchive("name that leaves the folder", name)
    if "" in parts or "." in parts:
        raise HostileArchive("name with empty parts", name)
    if len(parts) > MAX_DEPTH:
        raise HostileArchive("folders too deep", name)
    return parts


def check_characters(name: str) -> None:
    if not name:
        raise HostileArchive("empty name")
    if "\0" in name:
        raise HostileArchive("NUL in a name", name)
    for character in name:
        category = unicodedata.category(character)
        if category in _INVISIBLE:
            raise HostileArchive(_what_is_wrong_with(character, category), name)
    _check_lengths(name)


def _what_is_wrong_with(character: str, category: str) -> str:
    if category == "Cs":
        return "name that is not valid text"
    if category == "Cf" and unicodedata.bidirectional(character) not in ("BN", "ON"):
        return "text direction character in a name"
    return "control or invisible character in a name"


def _check_lengths(name: str) -> None:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise HostileArchive("name too long", name)
    if any(len(part.encode()) > MAX_COMPONENT_BYTES for part in name.split("/")):
        raise HostileArchive("name too long", name)


def folded(part: str) -> str:
    """Two parts that fold to the same text are one file on some file systems."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())


def fold(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(folded(part) for part in parts)
