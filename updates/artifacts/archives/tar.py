"""Read tar files (ustar, pax, GNU long names) header by header; a broken header is never the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from updates.artifacts.archives.extraction import Extraction
from updates.artifacts.archives.refusals import HostileArchive
from updates.artifacts.archives.streams import CHUNK, Readable

BLOCK = 512
MAX_METADATA_BYTES = 64 * 1024
_REGULAR = (b"0", b"\0")
_HARD_LINK, _SYMBOLIC_LINK, _FOLDER = b"1", b"2", b"5"
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"
_REFUSED = {
    b"3": "character device",
    b"4": "block device",
    b"6": "named pipe",
    b"S": "sparse file",
}
_RECORD_LENGTH = re.compile(rb"([1-9]\d{0,6}) ")


@dataclass(frozen=True, kw_only=True)
class _Header:
    name: str
    mode: int
    size: int
    type: bytes
    link: str


@dataclass(kw_only=True)
class _Overrides:
    """The values of extended headers for the next entry."""

    name: str | None = None
    size: int | None = None
    link: str | None = None


def looks_like_header(block: bytes) -> bool:
    return len(block) == BLOCK and block[257:262] == b"ustar" and _has_right_sum(block)


def extract(stream: Readable, extraction: Extraction) -> None:
    overrides = _Overrides()
    headers = 0
    while (header := _next_header(stream)) is not None:
        headers += 1
        if headers > 4 * extraction.limits.entries:
            raise HostileArchive("too many headers")
        if header.type in (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK):
            _read_metadata(stream, header, overrides)
            continue
        entry = replace(
            header,
            name=header.name if overrides.name is None else overrides.name,
            size=header.size if overrides.size is None else overrides.size,
            link=header.link if overrides.link is None else overrides.link,
        )
        overrides = _Overrides()
        _extract_entry(stream, entry, extraction)
    if not headers:
        raise HostileArchive("empty archive")


def _extract_entry(stream: Readable, entry: _Header, extraction: Extraction) -> None:
    if entry.type == _FOLDER or (entry.type == b"\0" and entry.name.endswith("/")):
        extraction.add_folder(entry.name)
        _skip(stream, entry.size)
    elif entry.type in _REGULAR:
        extraction.add_file(entry.name, entry.mode, entry.size, _content(stream, entry.size))
        _skip_padding(stream, entry.size)
    elif entry.type == _HARD_LINK:
        # Links have no content, whatever size some programs write beside them.
        extraction.add_hard_link(entry.name, entry.link)
    elif entry.type == _SYMBOLIC_LINK:
        extraction.add_symbolic_link(entry.name, entry.link)
    else:
        raise HostileArchive(_REFUSED.get(entry.type, "entry of an unknown kind"), entry.name)


def _next_header(stream: Readable) -> _Header | None:
    block = stream.read(BLOCK)
    if not block.strip(b"\0"):
        if len(block) != BLOCK:
            raise HostileArchive("archive cut short")
        _check_nothing_follows(stream)
        return None
    if len(block) != BLOCK:
        raise HostileArchive("archive cut short")
    if not _has_right_sum(block):
        raise HostileArchive("broken header")
    return _Header(
        name=_name(block),
        mode=_number(block[100:108]),
        size=_number(block[124:136]),
        type=block[156:157],
        link=block[157:257].split(b"\0")[0].decode("utf-8", "surrogateescape"),
    )


def _check_nothing_follows(stream: Readable) -> None:
    """Reading on also makes the decompressor check its own checksum."""
    while chunk := stream.read(CHUNK):
        if chunk.strip(b"\0"):
            raise HostileArchive("data after the end of the archive")


def _has_right_sum(block: bytes) -> bool:
    try:
        expected = _number(block[148:156])
    except HostileArchive:
        return False
    return expected == sum(block[:148]) + 8 * 32 + sum(block[156:])


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise HostileArchive("broken header")
    return int(digits or b"0", 8)


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0]
    # GNU tar keeps other things where ustar has the prefix.
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _content(stream: Readable, size: int) -> Iterator[bytes]:
    left = size
    while left:
        chunk = stream.read(min(left, CHUNK))
        if not chunk:
            raise HostileArchive("archive cut short")
        left -= len(chunk)
        yield chunk


def _skip(stream: Readable, size: int) -> None:
    for _ in _content(stream, size):
        pass
    _skip_padding(stream, size)


def _skip_padding(stream: Readable, size: int) -> None:
    padding = -size % BLOCK
    if len(stream.read(padding)) != padding:
        raise HostileArchive("archive cut short")


def _read_metadata(stream: Readable, header: _Header, overrides: _Overrides) -> None:
    if header.size > MAX_METADATA_BYTES:
        raise HostileArchive("extended header too long", header.name)
    data = b"".join(_content(stream, header.size))
    _skip_padding(stream, header.size)
    if header.type == _GNU_NAME:
        overrides.name = data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
    elif header.type == _GNU_LINK:
        overrides.link = data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
    elif header.type in (_PAX, _PAX_GLOBAL):
        records = dict(_records(data))
        if header.type == _PAX_GLOBAL and {"path", "size", "linkpath"} & records.keys():
            raise HostileArchive("name or size for all entries at once")
        _apply(records, overrides)


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the ``length key=value`` lines of a pax header."""
    at = 0
    while at < len(data):
        match = _RECORD_LENGTH.match(data, at)
        end = at + int(match[1]) if match else at
        if match is None or end > len(data) or end <= match.end() or data[end - 1 : end] != b"\n":
            raise HostileArchive("broken extended header")
        key, separator, value = data[match.end() : end - 1].partition(b"=")
        if not separator or not key:
            raise HostileArchive("broken extended header")
        yield key.decode("utf-8", "surrogateescape"), value
        at = end


def _apply(records: dict[str, bytes], overrides: _Overrides) -> None:
    if any(key.startswith("GNU.sparse") for key in records):
        raise HostileArchive("sparse file")
    if "path" in records:
        overrides.name = records["path"].decode("utf-8", "surrogateescape")
    if "linkpath" in records:
        overrides.link = records["linkpath"].decode("utf-8", "surrogateescape")
    if "size" in records:
        if not re.fullmatch(rb"\d{1,19}", records["size"]):
            raise HostileArchive("broken extended header")
        overrides.size = int(records["size"])
