"""Decompress as a bounded stream: never more than asked for, never past the ratio or the limit."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Protocol

from saga_project.shared import zstandard
from updates.artifacts.archives.extraction import Limits
from updates.artifacts.archives.refusals import HostileArchive

GZIP_MAGIC = b"\x1f\x8b\x08"
XZ_MAGIC = b"\xfd7zXZ\x00"
CHUNK = 64 * 1024
BZIP2_MAGIC = b"BZh"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: Frames that hold no data, such as the index of a seekable file.
_ZSTD_SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
XZ_MEMORY_BYTES = 128 * 2**20
ZSTD_WINDOW_LOG = 27
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError)


class _Decompressor(Protocol):
    """The common interface of the decompressors; zlib's is wrapped."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gunzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _unxz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


def _unzstd() -> zstandard.ZstdDecompressor:
    limit: dict[int, int] = {zstandard.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return zstandard.ZstdDecompressor(options=limit)


class Readable(Protocol):
    """Reads ``size`` bytes, fewer only at the end."""

    def read(self, size: int, /) -> bytes: ...


class DecompressedStream:
    """Exact reads of what a compressed file holds."""

    def __init__(
        self,
        file: IO[bytes],
        limits: Limits,
        magic: bytes | tuple[bytes, ...],
        make: Callable[[], _Decompressor],
    ) -> None:
        self._file = file
        self._limits = limits
        self._magic = magic
        self._make = make
        self._inner = make()
        self._read = 0
        self._produced = 0
        self._buffer = bytearray()
        self._is_over = False

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end; a stream that is cut short is refused."""
        while len(self._buffer) < size and not self._is_over:
            self._buffer += self._more()
        chunk = bytes(self._buffer[:size])
        del self._buffer[:size]
        return chunk

    def _more(self) -> bytes:
        data, has_asked = b"", self._inner.needs_input
        if self._inner.eof:
            data = self._next_member()
            if self._is_over:
                return b""
        elif has_asked:
            data = self._read_file()
        try:
            produced = self._inner.decompress(data, CHUNK)
        except _BROKEN as exc:
            raise HostileArchive("compressed data that is broken") from exc
        # A full output buffer may hide more that needs no input, or hide nothing: then input is needed next.
        is_stuck = has_asked or not self._inner.needs_input
        if not produced and not data and is_stuck and not self._inner.eof:
            raise HostileArchive("compressed data cut short")
        self._count(len(produced))
        return produced

    def _next_member(self) -> bytes:
        """Compressed files may be concatenated or padded with zeros; anything else is not data."""
        rest = self._inner.unused_data + self._read_file()
        while rest and not rest.strip(b"\0"):
            rest = self._read_file()
        if not rest:
            self._is_over = True
            return b""
        if not rest.startswith(self._magic):
            raise HostileArchive("data after the end of the compressed stream")
        self._inner = self._make()
        return rest

    def _read_file(self) -> bytes:
        """Read on; each byte of the file counts once, however many streams it holds."""
        data = self._file.read(CHUNK)
        self._read += len(data)
        return data

    def _count(self, size: int) -> None:
        self._produced += size
        # Headers and padding come on top of the files, hence the tenth.
        if self._produced > self._limits.total_bytes * 1.1:
            raise HostileArchive(f"more than {self._limits.total_bytes} bytes unpacked")
        check_ratio(self._produced, self._read, self._limits)


def check_ratio(produced: int, read: int, limits: Limits) -> None:
    if produced > limits.ratio_from_bytes and produced > limits.ratio * read:
        raise HostileArchive(f"compressed more than {limits.ratio}:1")


Opener = Callable[[IO[bytes], Limits], Readable]


def plain(file: IO[bytes], _limits: Limits) -> Readable:
    return file


def gzip(file: IO[bytes], limits: Limits) -> DecompressedStream:
    return DecompressedStream(file, limits, GZIP_MAGIC, _Gunzip)


def xz(file: IO[bytes], limits: Limits) -> DecompressedStream:
    return DecompressedStream(file, limits, XZ_MAGIC, _unxz)


def bzip2(file: IO[bytes], limits: Limits) -> DecompressedStream:
    return DecompressedStream(file, limits, BZIP2_MAGIC, bz2.BZ2Decompressor)


def zstd(file: IO[bytes], limits: Limits) -> DecompressedStream:
    return DecompressedStream(file, limits, (ZSTD_MAGIC, *_ZSTD_SKIPPABLE), _unzstd)
