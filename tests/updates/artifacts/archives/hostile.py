"""Archives that must be refused, each with the reason that it must be refused for."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 512
Builder = Callable[[], bytes]


def header(
    name: bytes,
    *,
    size: int = 0,
    kind: bytes = b"0",
    link: bytes = b"",
    mode: int = 0o644,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
) -> bytes:
    block = bytearray(BLOCK)
    block[0 : len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[124:136] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def entry(name: bytes, content: bytes = b"x", **options: object) -> bytes:
    block = header(name, size=len(content), **options)  # type: ignore[arg-type]
    return block + content + b"\0" * (-len(content) % BLOCK)


def tar_gz(*parts: bytes, end: bytes = b"\0" * 1024) -> bytes:
    return gzip.compress(b"".join(parts) + end, mtime=0)


def tar_xz(*parts: bytes) -> bytes:
    return lzma.compress(tar(*parts))


def tar(*parts: bytes) -> bytes:
    return b"".join(parts) + b"\0" * 1024


def tar_bz2(*parts: bytes) -> bytes:
    return bz2.compress(tar(*parts))


def tar_zst(*parts: bytes) -> bytes:
    return compressed_zstd(tar(*parts))


def compressed_zstd(data: bytes) -> bytes:
    return zstd.compress(data)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"1", link=target)


def pax(**records: str) -> bytes:
    return pax_raw(b"".join(record(key.replace("__", "."), text) for key, text in records.items()))


def record(key: str, text: str) -> bytes:
    body = f" {key}={text}\n".encode("utf-8", "surrogateescape")
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


def pax_raw(data: bytes, kind: bytes = b"x") -> bytes:
    return entry(b"PaxHeaders/x", data, kind=kind)


def good_tar_gz(files: dict[str, bytes] | None = None) -> bytes:
    files = files or {"bin/run": b"#!/bin/sh\n", "README": b"hello\n"}
    return tar_gz(*(entry(name.encode(), content) for name, content in files.items()))


def zipped(
    files: dict[str, bytes] | None = None,
    *,
    change: Callable[[zipfile.ZipInfo], None] = lambda info: None,
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in (
            files or {"bin/run": b"#!/bin/sh\n" * 9, "README": b"hello\n"}
        ).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = 0o100644 << 16
            change(info)
            archive.writestr(info, content)
    return buffer.getvalue()


def _with_mode(mode: int) -> Callable[[zipfile.ZipInfo], None]:
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = mode << 16

    return change


def _patched(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    assert old in data
    place = data.rfind(old) if last else data.find(old)
    return data[:place] + new + data[place + len(old) :]


def _encrypted() -> bytes:
    data = bytearray(zipped({"a": b"x"}))
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _zip_with_declared_size(change: int) -> bytes:
    data = bytearray(zipped({"a": b"x" * 100}))
    place = data.find(b"PK\x01\x02") + 24
    size = struct.unpack_from("<L", data, place)[0]
    struct.pack_into("<L", data, place, size + change)
    return bytes(data)


def _zip_with_wrong_crc() -> bytes:
    data = bytearray(zipped({"a": b"x" * 100}))
    data[data.find(b"PK\x01\x02") + 16] ^= 0xFF
    return bytes(data)


def _overlapping() -> bytes:
    """Two directory entries that point at one local header, as zip bombs do."""
    data = bytearray(zipped({"a": b"x" * 100, "b": b"y" * 100}, method=zipfile.ZIP_STORED))
    first = data.find(b"PK\x01\x02")
    second = data.find(b"PK\x01\x02", first + 4)
    data[second + 46 : second + 47] = b"a"
    struct.pack_into("<L", data, second + 42, 0)
    return bytes(data)


def _local_name_differs() -> bytes:
    return _patched(zipped({"safe": b"x"}), b"safe", b"evil")


def _zeros() -> bytes:
    return tar(entry(b"zeros", bytes(16 * 2**20)))


def _bomb_of_members() -> bytes:
    """Each member is small: what is read of the file counts once, not once for each of them."""
    data = tar(entry(b"zeros", bytes(16 * 2**20)))
    step = 32 * 1024
    parts = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def _high_memory_zstd() -> bytes:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 29}
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(tar(entry(b"a"))) + compressor.flush()


def _zip_bomb() -> bytes:
    return zipped({"zeros": bytes(16 * 2**20)})


def _many(count: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for number in range(count):
            archive.addfile(tarfile.TarInfo(f"d/{number}"))
    return buffer.getvalue()


def _comments(count: int) -> bytes:
    chance = random.Random(1)
    return b"".join(pax(comment=f"{chance.getrandbits(160):x}") for _ in range(count))


def _many_in_zip(count: int) -> bytes:
    data = bytearray(zipped())
    place = data.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", data, place + 8, count, count)
    return bytes(data)


def _base_256_size() -> bytes:
    block = bytearray(header(b"huge"))
    block[124:136] = b"\x80" + (2**40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return tar_gz(bytes(block))


def _broken_second_header() -> bytes:
    second = bytearray(entry(b"second"))
    second[0] ^= 1
    return tar_gz(entry(b"first"), bytes(second))


def _high_memory_xz() -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 * 2**20, "preset": 0}]
    return lzma.compress(entry(b"a") + b"\0" * 1024, filters=filters)


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


REFUSED: dict[str, tuple[str, str, Builder]] = {
    # name: (kind, reason, how it is made)
    "parent folder": ("tar.gz", "leaves the folder", lambda: tar_gz(entry(b"../evil"))),
    "parent folder inside": ("tar.gz", "leaves the folder", lambda: tar_gz(entry(b"a/../../evil"))),
    "parent folder by prefix": (
        "tar.gz",
        "leaves the folder",
        lambda: tar_gz(entry(b"evil", prefix=b"..")),
    ),
    "parent folder by pax": (
        "tar.gz",
        "leaves the folder",
        lambda: tar_gz(pax(path="../evil"), entry(b"good")),
    ),
    "parent folder by a GNU name": (
        "tar.gz",
        "leaves the folder",
        lambda: tar_gz(entry(b"L", b"../evil\0", kind=b"L"), entry(b"g")),
    ),
    "parent folder as a folder": (
        "tar.gz",
        "leaves the folder",
        lambda: tar_gz(entry(b"../evil/", b"", kind=b"5")),
    ),
    "parent folder in xz": ("tar.xz", "leaves the folder", lambda: tar_xz(entry(b"../evil"))),
    "absolute": ("tar.gz", "absolute name", lambda: tar_gz(entry(b"/etc/cron.d/evil"))),
    "absolute after a dot": (
        "tar.gz",
        "absolute|empty parts",
        lambda: tar_gz(entry(b".//etc/evil")),
    ),
    "Windows drive": ("tar.gz", "Windows path", lambda: tar_gz(entry(b"C:evil"))),
    "backslashes": ("tar.gz", "Windows path", lambda: tar_gz(entry(b"..\\..\\evil"))),
    "absolute symbolic link": (
        "tar.gz",
        "link to an absolute path",
        lambda: tar_gz(symlink(b"a", b"/etc")),
    ),
    "symbolic link to the parent folder": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(symlink(b"a", b"..")),
    ),
    "symbolic link that comes back from outside": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(symlink(b"a/b", b"../../into/a"), entry(b"a/c")),
    ),
    "symbolic link that leaves through another": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(symlink(b"z", b"x/y/.."), symlink(b"x/y", b"..")),
    ),
    "symbolic link that leaves through two others": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(
            entry(b"a/b/f"),
            symlink(b"a/b/up", b"../.."),
            symlink(b"a/top", b"b/up"),
            symlink(b"evil", b"a/top/../etc/passwd"),
        ),
    ),
    "symbolic link through a twin in other case": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(symlink(b"z", b"X/Y/../.."), symlink(b"x/y", b"..")),
    ),
    "symbolic link by pax": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(pax(linkpath="../evil"), symlink(b"a", b"good")),
    ),
    "symbolic link by a GNU name": (
        "tar.gz",
        "link that leaves the folder",
        lambda: tar_gz(entry(b"K", b"../evil\0", kind=b"K"), symlink(b"a", b"good")),
    ),
    "one link for all": (
        "tar.gz",
        "all entries",
        lambda: tar_gz(pax_raw(record("linkpath", "a"), b"g"), entry(b"a")),
    ),
    "symbolic links in a circle": (
        "tar.gz",
        "never end",
        lambda: tar_gz(symlink(b"a", b"b"), symlink(b"b", b"a")),
    ),
    "symbolic links that multiply": (
        "tar.gz",
        "never end",
        lambda: tar_gz(
            symlink(b"d/0", b"."),
            *(symlink(b"d/%d" % n, b"/".join([b"%d" % (n - 1)] * 8)) for n in range(1, 9)),
        ),
    ),
    "symbolic link to nothing": ("tar.gz", "to nothing", lambda: tar_gz(symlink(b"a", b""))),
    "symbolic link with a long target": (
        "tar.gz",
        "target too long",
        lambda: tar_gz(pax(linkpath="a/" * 600 + "b"), symlink(b"a", b"x")),
    ),
    "symbolic link with a control character": (
        "tar.gz",
        "control or invisible",
        lambda: tar_gz(symlink(b"a", b"b\x1b[2J")),
    ),
    "symbolic link with backslashes": (
        "tar.gz",
        "Windows path",
        lambda: tar_gz(symlink(b"a", b"..\\evil")),
    ),
    "write through a symbolic link": (
        "tar.gz",
        "path through a symbolic link",
        lambda: tar_gz(symlink(b"a", b"b"), entry(b"a/evil")),
    ),
    "folder through a symbolic link": (
        "tar.gz",
        "path through a symbolic link",
        lambda: tar_gz(entry(b"b/c"), symlink(b"a", b"b"), entry(b"a/d/", b"", kind=b"5")),
    ),
    "link through a symbolic link": (
        "tar.gz",
        "path through a symbolic link",
        lambda: tar_gz(entry(b"b/c"), symlink(b"a", b"b"), symlink(b"a/d", b"c")),
    ),
    "hard link through a symbolic link": (
        "tar.gz",
        "no file of the archive",
        lambda: tar_gz(entry(b"b/c"), symlink(b"a", b"b"), hard_link(b"d", b"a/c")),
    ),
    "symbolic link in the place of a file": (
        "tar.gz",
        "used twice",
        lambda: tar_gz(entry(b"a"), symlink(b"a", b"b")),
    ),
    "symbolic link in the place of a folder": (
        "tar.gz",
        "place of a folder",
        lambda: tar_gz(entry(b"a/b"), symlink(b"a", b"c")),
    ),
    "file in the place of a symbolic link": (
        "tar.gz",
        "used twice",
        lambda: tar_gz(symlink(b"a", b"b"), entry(b"a")),
    ),
    "folder in the place of a symbolic link": (
        "tar.gz",
        "place of a file",
        lambda: tar_gz(symlink(b"a", b"b"), entry(b"a/", b"", kind=b"5")),
    ),
    "hard link outside": (
        "tar.gz",
        "absolute name",
        lambda: tar_gz(hard_link(b"a", b"/etc/passwd")),
    ),
    "hard link to the parent folder": (
        "tar.gz",
        "leaves the folder",
        lambda: tar_gz(hard_link(b"a", b"../secret")),
    ),
    "hard link to a later file": (
        "tar.gz",
        "no file of the archive",
        lambda: tar_gz(hard_link(b"a", b"b"), entry(b"b")),
    ),
    "hard link to a folder": (
        "tar.gz",
        "no file of the archive",
        lambda: tar_gz(entry(b"b/c"), hard_link(b"a", b"b")),
    ),
    "hard link to a deeper symbolic link": (
        "tar.gz",
        "no file of the archive",
        lambda: tar_gz(symlink(b"a/b/l", b"../../.."), hard_link(b"h", b"a/b/l")),
    ),
    "hard link in the place of a file": (
        "tar.gz",
        "used twice",
        lambda: tar_gz(entry(b"a"), entry(b"b"), hard_link(b"b", b"a")),
    ),
    "hard links that multiply what a backup copies": (
        "tar.gz",
        "bytes unpacked",
        lambda: tar_gz(
            entry(b"a", random.Random(1).randbytes(2**20)),
            *(hard_link(b"b%d" % number, b"a") for number in range(100)),
        ),
    ),
    "character device": ("tar.gz", "character device", lambda: tar_gz(entry(b"a", b"", kind=b"3"))),
    "block device": ("tar.gz", "block device", lambda: tar_gz(entry(b"a", b"", kind=b"4"))),
    "named pipe": ("tar.gz", "named pipe", lambda: tar_gz(entry(b"a", b"", kind=b"6"))),
    "sparse file": ("tar.gz", "sparse file", lambda: tar_gz(entry(b"a", kind=b"S"))),
    "sparse file by pax": (
        "tar.gz",
        "sparse file",
        lambda: tar_gz(pax(GNU__sparse__major="1"), entry(b"a")),
    ),
    "unknown kind": ("tar.gz", "unknown kind", lambda: tar_gz(entry(b"a", kind=b"Z"))),
    "control character": ("tar.gz", "control or invisible", lambda: tar_gz(entry(b"a\x1b[2Jb"))),
    "line break": ("tar.gz", "control or invisible", lambda: tar_gz(entry(b"a\nb"))),
    "NUL by pax": ("tar.gz", "NUL", lambda: tar_gz(pax(path="a\0b"), entry(b"a"))),
    "text direction": (
        "tar.gz",
        "text direction",
        lambda: tar_gz(entry("gpj\u202eexe.txt".encode())),
    ),
    "zero-width": ("tar.gz", "control or invisible", lambda: tar_gz(entry("a\u200db".encode()))),
    "not UTF-8": ("tar.gz", "not valid text", lambda: tar_gz(entry(b"\xff\xfe"))),
    "empty name": ("tar.gz", "empty name", lambda: tar_gz(entry(b""))),
    "the folder itself as a file": ("tar.gz", "place of a folder", lambda: tar_gz(entry(b"."))),
    "empty parts": ("tar.gz", "empty parts", lambda: tar_gz(entry(b"a//b"))),
    "dots inside": ("tar.gz", "empty parts", lambda: tar_gz(entry(b"a/./b"))),
    "case twins": ("tar.gz", "differ in case", lambda: tar_gz(entry(b"Run"), entry(b"run"))),
    "twins of folders": ("tar.gz", "differ in case", lambda: tar_gz(entry(b"A/x"), entry(b"a/y"))),
    "accent twins": (
        "tar.gz",
        "differ in case",
        lambda: tar_gz(entry("é".encode()), entry("e\u0301".encode())),
    ),
    "name twice": ("tar.gz", "used twice", lambda: tar_gz(entry(b"a"), entry(b"a"))),
    "file then folder": ("tar.gz", "place of a file", lambda: tar_gz(entry(b"a"), entry(b"a/b"))),
    "folder then file": ("tar.gz", "place of a folder", lambda: tar_gz(entry(b"a/b"), entry(b"a"))),
    "too deep": ("tar.gz", "too deep", lambda: tar_gz(entry(b"a/" * 33 + b"b"))),
    "component too long": ("tar.gz", "too long", lambda: tar_gz(pax(path="a" * 256), entry(b"a"))),
    "name too long": (
        "tar.gz",
        "too long",
        lambda: tar_gz(pax(path="a/" * 2500 + "b"), entry(b"a")),
    ),
    "too many entries": ("tar.gz", "more than 20000 entries", lambda: _many(20_001)),
    "bomb": ("tar.gz", "more than 200:1", lambda: tar_gz(entry(b"zeros", bytes(16 * 2**20)))),
    "bomb in xz": ("tar.xz", "more than 200:1", lambda: tar_xz(entry(b"zeros", bytes(16 * 2**20)))),
    "bomb of many members": ("tar.gz", "more than 200:1", _bomb_of_members),
    "bomb in bzip2": ("tar.bz2", "more than 200:1", lambda: bz2.compress(_zeros())),
    "bomb in zstd": ("tar.zst", "more than 200:1", lambda: zstd.compress(_zeros())),
    "zstd that wants memory": ("tar.zst", "broken", _high_memory_zstd),
    "zstd cut short": ("tar.zst", "cut short", lambda: _cut(tar_zst(entry(b"a")), 0.6)),
    "bzip2 cut short": ("tar.bz2", "cut short", lambda: _cut(tar_bz2(entry(b"a")), 0.6)),
    "bzip2 broken": ("tar.bz2", "broken", lambda: _patched(tar_bz2(entry(b"a")), b"1AY", b"1AX")),
    "plain tar cut short": ("tar", "cut short", lambda: entry(b"a")),
    "plain tar with data after it": (
        "tar",
        "after the end",
        lambda: tar(entry(b"a")) + b"evil",
    ),
    "plain tar: parent folder": ("tar", "leaves the folder", lambda: tar(entry(b"../evil"))),
    "size beyond all": ("tar.gz", "bytes unpacked", _base_256_size),
    "size by pax beyond all": (
        "tar.gz",
        "bytes unpacked",
        lambda: tar_gz(pax(size="9" * 18), entry(b"a")),
    ),
    "size by pax not a number": (
        "tar.gz",
        "broken extended",
        lambda: tar_gz(pax(size="-5"), entry(b"a")),
    ),
    "extended header too long": (
        "tar.gz",
        "extended header too long",
        lambda: tar_gz(pax_raw(b"x" * 70_000), entry(b"a")),
    ),
    "extended header broken": (
        "tar.gz",
        "broken extended",
        lambda: tar_gz(pax_raw(b"99 path=a\n"), entry(b"a")),
    ),
    "extended header without length": (
        "tar.gz",
        "broken extended",
        lambda: tar_gz(pax_raw(b"path=a\n"), entry(b"a")),
    ),
    "one name for all": (
        "tar.gz",
        "all entries",
        lambda: tar_gz(pax_raw(record("path", "a"), b"g"), entry(b"a")),
    ),
    "nothing but headers": (
        "tar.gz",
        "too many headers",
        lambda: tar_gz(_comments(80_001)),
    ),
    "broken second header": ("tar.gz", "broken header", _broken_second_header),
    "cut in the middle": ("tar.gz", "cut short", lambda: _cut(good_tar_gz(), 0.5)),
    "cut before the checksum": ("tar.gz", "cut short", lambda: good_tar_gz()[:-8]),
    "wrong checksum": (
        "tar.gz",
        "broken",
        lambda: good_tar_gz()[:-8] + b"\0\0\0\0" + good_tar_gz()[-4:],
    ),
    "without an end": ("tar.gz", "cut short", lambda: tar_gz(entry(b"a"), end=b"")),
    "data after the end": (
        "tar.gz",
        "after the end",
        lambda: tar_gz(entry(b"a"), end=b"\0" * 1024 + b"more"),
    ),
    "data after the stream": (
        "tar.gz",
        "after the end of the compressed",
        lambda: good_tar_gz() + b"#!/bin/sh",
    ),
    "empty tar": ("tar.gz", "empty archive", tar_gz),
    "xz that wants memory": ("tar.xz", "broken", _high_memory_xz),
    "xz cut short": ("tar.xz", "cut short", lambda: _cut(tar_xz(entry(b"a")), 0.6)),
    "zip: parent folder": ("zip", "leaves the folder", lambda: zipped({"../evil": b"x"})),
    "zip: absolute": ("zip", "absolute", lambda: zipped({"/etc/evil": b"x"})),
    "zip: backslashes": ("zip", "Windows path", lambda: zipped({"..\\evil": b"x"})),
    "zip: absolute symbolic link": (
        "zip",
        "link to an absolute path",
        lambda: zipped({"a": b"/etc"}, change=_with_mode(stat.S_IFLNK | 0o777)),
    ),
    "zip: symbolic link that leaves": (
        "zip",
        "link that leaves the folder",
        lambda: zipped({"a/b": b"../../x"}, change=_with_mode(stat.S_IFLNK | 0o777)),
    ),
    "zip: symbolic link with a long target": (
        "zip",
        "target too long",
        lambda: zipped({"a": b"b" * 2000}, change=_with_mode(stat.S_IFLNK | 0o777)),
    ),
    "zip: link named as a folder": (
        "zip",
        "place of a folder",
        lambda: zipped({"a/": b"b"}, change=_with_mode(stat.S_IFLNK | 0o777)),
    ),
    "zip: device": (
        "zip",
        "unknown kind",
        lambda: zipped({"a": b""}, change=_with_mode(stat.S_IFCHR | 0o666)),
    ),
    "zip: NUL": (
        "zip",
        "NUL|contradicts|control",
        lambda: zipped({"aXb": b"x"}).replace(b"aXb", b"a\0b"),
    ),
    "zip: case twins": ("zip", "differ in case", lambda: zipped({"A": b"1", "a": b"2"})),
    "zip: encrypted": ("zip", "encrypted", _encrypted),
    "zip: bzip2": ("zip", "unknown compression", lambda: zipped(method=zipfile.ZIP_BZIP2)),
    "zip: bomb": ("zip", "more than 200:1", _zip_bomb),
    "zip: longer than declared": ("zip", "another size", lambda: _zip_with_declared_size(-50)),
    "zip: shorter than declared": ("zip", "another size", lambda: _zip_with_declared_size(+50)),
    "zip: wrong checksum": ("zip", "wrong checksum", _zip_with_wrong_crc),
    "zip: overlaps": ("zip", "overlap", _overlapping),
    "zip: two names for one file": ("zip", "contradicts", _local_name_differs),
    "zip: broken ZIP64 end": (
        "zip",
        "broken directory",
        lambda: _many_in_zip(0xFFFF),
    ),
    "zip: cut": ("zip", "cut short", lambda: _cut(zipped(), 0.7)),
    "zip: too many": ("zip", "more than 20000", lambda: _many_in_zip(20_001)),
    "zip: count that lies": ("zip", "miscounts", lambda: _many_in_zip(9_999)),
    "zip: data before its end": (
        "zip",
        "should have none",
        lambda: _patched(zipped(), b"PK\x05\x06", b"evilPK\x05\x06", last=True),
    ),
    "zip: data after its end": ("zip", "should have none|cut", lambda: zipped() + b"evil"),
    "zip: empty": ("zip", "empty archive", lambda: b"PK\x05\x06" + bytes(18)),
}


_PARTS = (entry(b"bin/run", b"#!/bin/sh\n"), entry(b"README", b"hello\n"))


def good() -> dict[str, bytes]:
    return {
        "tar.gz": good_tar_gz(),
        "tar.xz": tar_xz(*_PARTS),
        "tar.bz2": tar_bz2(*_PARTS),
        "tar.zst": tar_zst(*_PARTS),
        "tar": tar(*_PARTS),
        "zip": zipped(),
    }


def mutated(kind: str, seed: int) -> bytes:
    """A good archive with a few bytes changed, cut, doubled or swapped; tars are changed inside too."""
    chance = random.Random(seed)
    data = good()[kind]
    is_inside = kind in ("tar.gz", "tar.xz") and chance.random() < 0.7
    if is_inside:
        data = gzip.decompress(data) if kind == "tar.gz" else lzma.decompress(data)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        _mutate(changed, chance)
    if not is_inside:
        return bytes(changed)
    return gzip.compress(changed, mtime=0) if kind == "tar.gz" else lzma.compress(changed)


def _mutate(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(data) or 1)
    choice = chance.randrange(5)
    if choice == 0 and data:
        data[place] ^= 1 << chance.randrange(8)
    elif choice == 1 and data:
        data[place] = chance.randrange(256)
    elif choice == 2:
        del data[place : place + chance.randint(1, 64)]
    elif choice == 3:
        data[place:place] = data[place : place + chance.randint(1, 64)]
    else:
        data[place:place] = chance.randbytes(chance.randint(1, 16))
