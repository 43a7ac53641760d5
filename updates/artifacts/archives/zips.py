"""Read zip files by their central directory, and hold every local header against it."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from updates.artifacts.archives import links
from updates.artifacts.archives.extraction import Extraction, Limits
from updates.artifacts.archives.refusals import HostileArchive
from updates.artifacts.archives.streams import CHUNK, check_ratio

_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_MAGIC = b"PK\x06\x06"
_LOCATOR_64 = struct.Struct("<4sLQL")
_LOCATOR_64_MAGIC = b"PK\x06\x07"
MAX_DIRECTORY_BYTES = 64 * 2**20


def extract(file: IO[bytes], extraction: Extraction, limits: Limits) -> None:
    directory_at, count = _check_end(file, limits)
    entries = _read_directory(file)
    if len(entries) != count:
        raise HostileArchive("directory of the zip file that miscounts its entries")
    starts = [_locate(file, entry) for entry in entries]
    _check_overlaps(entries, starts, directory_at)
    if not entries:
        raise HostileArchive("empty archive")
    _check_sizes(file, entries, limits)
    for entry, start in zip(entries, starts, strict=True):
        if entry.orig_filename.endswith("/"):
            if entry.file_size:
                raise HostileArchive("file in the place of a folder", entry.orig_filename)
            extraction.add_folder(entry.orig_filename)
            continue
        mode, content = entry.external_attr >> 16, _content(file, entry, start)
        if stat.S_IFMT(mode) == stat.S_IFLNK:
            extraction.add_symbolic_link(entry.orig_filename, _link_target(entry, content))
        else:
            extraction.add_file(entry.orig_filename, mode, entry.file_size, content)


def _check_sizes(file: IO[bytes], entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Check the declared sizes against the limits before anything is written; no entry may exceed its own."""
    declared = sum(entry.file_size for entry in entries)
    if declared > limits.total_bytes:
        raise HostileArchive(f"more than {limits.total_bytes} bytes unpacked")
    check_ratio(declared, file.seek(0, os.SEEK_END), limits)


def _link_target(entry: zipfile.ZipInfo, content: Iterator[bytes]) -> str:
    if entry.file_size > links.MAX_TARGET_BYTES:
        raise HostileArchive("symbolic link with a target too long", entry.orig_filename)
    return b"".join(content).decode("utf-8", "surrogateescape")


def _check_end(file: IO[bytes], limits: Limits) -> tuple[int, int]:
    """Bound the directory before anything reads it; return where it begins and how long it says to be."""
    size = file.seek(0, os.SEEK_END)
    tail_at = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_at)
    tail = file.read()
    place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END.size:
        raise HostileArchive("archive cut short")
    fields = _END.unpack_from(tail, place)
    _, disk, first_disk, count_here, count, directory_bytes, directory_at, comment = fields
    end = tail_at + place
    if 0xFFFF in (count, count_here) or 0xFFFFFFFF in (directory_bytes, directory_at):
        end, count_here, count, directory_bytes, directory_at = _read_end_64(file, end)
    if disk or first_disk or count_here != count:
        raise HostileArchive("zip file in several parts")
    if count > limits.entries:
        raise HostileArchive(f"more than {limits.entries} entries")
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise HostileArchive("directory of the zip file too long")
    is_at_end = tail_at + place + _END.size + comment == size
    if directory_at + directory_bytes != end or not is_at_end:
        raise HostileArchive("data where the zip file should have none")
    return directory_at, count


def _read_end_64(file: IO[bytes], end: int) -> tuple[int, int, int, int, int]:
    """Return where the ZIP64 end record is and what it says, for more than 65,535 entries or 4 GiB."""
    record_at = end - _LOCATOR_64.size - _END_64.size
    if record_at < 0:
        raise HostileArchive("archive cut short")
    file.seek(record_at)
    record = _END_64.unpack(file.read(_END_64.size))
    locator = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
    if locator[:3] != (_LOCATOR_64_MAGIC, 0, record_at) or record[0] != _END_64_MAGIC:
        raise HostileArchive("broken directory of the zip file")
    _, size, _, _, disk, first_disk, count_here, count, directory_bytes, directory_at = record
    if disk or first_disk or size != _END_64.size - 12:
        raise HostileArchive("zip file in several parts")
    return record_at, count_here, count, directory_bytes, directory_at


def _read_directory(file: IO[bytes]) -> list[zipfile.ZipInfo]:
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as exc:
        raise HostileArchive("broken directory of the zip file") from exc
    for entry in entries:
        _check_kind(entry)
    return entries


def _check_kind(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if entry.flag_bits & _ENCRYPTED:
        raise HostileArchive("encrypted entry", name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise HostileArchive("unknown compression", name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise HostileArchive("entry of an unknown kind", name)
    if (kind == stat.S_IFDIR) != name.endswith("/") and kind not in (0, stat.S_IFREG):
        raise HostileArchive("file in the place of a folder", name)


def _locate(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Return where the entry's data begins, once its local header says the same."""
    file.seek(entry.header_offset)
    block = file.read(_LOCAL.size)
    if len(block) != _LOCAL.size or not block.startswith(_LOCAL_MAGIC):
        raise HostileArchive("broken local header", entry.orig_filename)
    fields = _LOCAL.unpack(block)
    name = file.read(fields[9])
    encoding = "utf-8" if fields[2] & 0x800 else "cp437"
    if name != entry.orig_filename.encode(encoding, "replace") or fields[3] != entry.compress_type:
        raise HostileArchive("local header that contradicts the directory", entry.orig_filename)
    if fields[2] & _ENCRYPTED:
        raise HostileArchive("encrypted entry", entry.orig_filename)
    return entry.header_offset + _LOCAL.size + int(fields[9]) + int(fields[10])


def _check_overlaps(entries: list[zipfile.ZipInfo], starts: list[int], directory_at: int) -> None:
    spans = [
        (entry.header_offset, start + entry.compress_size)
        for entry, start in zip(entries, starts, strict=True)
    ]
    before = 0
    for start, end in sorted(spans):
        if start < before or end > directory_at:
            raise HostileArchive("entries that overlap")
        before = end


def _content(file: IO[bytes], entry: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """Yield the data, as long as and with the checksum that the directory declares."""
    file.seek(start)
    produced = 0
    crc = 0
    for chunk in _inflate(file, entry):
        produced += len(chunk)
        crc = zlib.crc32(chunk, crc)
        if produced > entry.file_size:
            break
        yield chunk
    if produced != entry.file_size:
        raise HostileArchive("entry of another size than declared", entry.orig_filename)
    if crc != entry.CRC:
        raise HostileArchive("entry with a wrong checksum", entry.orig_filename)


def _inflate(file: IO[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    left = entry.compress_size
    inner = zlib.decompressobj(-15)
    is_stored = entry.compress_type == zipfile.ZIP_STORED
    while left:
        data = file.read(min(left, CHUNK))
        if not data:
            raise HostileArchive("archive cut short", entry.orig_filename)
        left -= len(data)
        if is_stored:
            yield data
        else:
            yield from _inflate_chunk(inner, data, entry.orig_filename)
    if not is_stored:
        yield from _rest_of(inner)
    if not is_stored and not inner.eof:
        raise HostileArchive("compressed data cut short", entry.orig_filename)


def _rest_of(inner: zlib._Decompress) -> Iterator[bytes]:
    """A full output buffer may hide more that needs no further input."""
    while not inner.eof and (chunk := inner.decompress(b"", CHUNK)):
        yield chunk


def _inflate_chunk(inner: zlib._Decompress, data: bytes, name: str) -> Iterator[bytes]:
    while data:
        try:
            chunk = inner.decompress(data, CHUNK)
        except zlib.error as exc:
            raise HostileArchive("compressed data that is broken", name) from exc
        if inner.eof and inner.unused_data:
            raise HostileArchive("data after the end of the compressed stream", name)
        data = inner.unconsumed_tail
        yield chunk
