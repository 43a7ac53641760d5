from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import stat
import subprocess
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.updates.artifacts.archives import hostile
from updates.artifacts import archives

#: Small, so that the bombs are: the ratio counts from 4 MiB, and no archive may be larger than 100 MiB.
LIMITS = archives.Limits(entries=20_000, total_bytes=100 * 2**20, ratio_from_bytes=4 * 2**20)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "artifact"
    path.write_bytes(data)
    return path


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", archives.KINDS)
def test_unpacks_what_is_good(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, hostile.good()[kind])
    into = tmp_path / "into"
    into.mkdir()

    entries = archives.unpack(path, kind=kind, into=into)

    assert archives.kind_of(path) == kind
    assert everything_below(into) == {"bin", "bin/run", "README"}
    assert (into / "README").read_bytes() == b"hello\n"
    assert {entry.path: entry.size for entry in entries}["README"] == 6


@pytest.mark.parametrize("name", hostile.REFUSED)
def test_refuses_what_is_hostile_and_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    kind, reason, build = hostile.REFUSED[name]
    into = tmp_path / "cage" / "into"
    into.mkdir(parents=True)
    path = write(tmp_path, build())

    with pytest.raises(archives.HostileArchive, match=reason):
        archives.unpack(path, kind=kind, into=into, limits=LIMITS)

    assert everything_below(tmp_path / "cage") - {"into"} == {
        f"into/{found}" for found in everything_below(into)
    }
    assert everything_below(tmp_path) >= {"artifact", "cage"}
    assert not [found for found in into.rglob("*") if found.is_symlink()]


def test_the_hostile_archives_are_many_and_have_distinct_reasons() -> None:
    reasons = {reason for _, reason, _ in hostile.REFUSED.values()}

    assert len(hostile.REFUSED) >= 40
    assert len(reasons) >= 25


@pytest.mark.parametrize("kind", archives.KINDS)
def test_a_mutated_archive_is_refused_or_stays_inside(tmp_path: Path, kind: str) -> None:
    for seed in range(60):
        cage = tmp_path / str(seed)
        into = cage / "into"
        into.mkdir(parents=True)
        path = write(tmp_path, hostile.mutated(kind, seed))

        with contextlib.suppress(archives.HostileArchive):
            archives.unpack(path, kind=kind, into=into)

        assert all(found.is_relative_to(into) for found in cage.rglob("*") if found != into)
        assert all(found.resolve().is_relative_to(into.resolve()) for found in into.rglob("*"))


def unpacked(
    tmp_path: Path, data: bytes, kind: str = "tar.gz"
) -> tuple[Path, list[archives.ArchiveEntry]]:
    into = tmp_path / "into"
    into.mkdir()
    return into, archives.unpack(write(tmp_path, data), kind=kind, into=into, limits=LIMITS)


def test_links_that_stay_inside_are_kept(tmp_path: Path) -> None:
    """As npm, workspaces and virtual environments make them, in any order."""
    data = hostile.tar_gz(
        hostile.symlink(b"node_modules/.bin/semver", b"../semver/bin/semver.js"),
        hostile.entry(b"packages/semver/bin/semver.js", b"#!/usr/bin/env node\n", mode=0o755),
        hostile.symlink(b"node_modules/semver", b"../packages/semver"),
        hostile.symlink(b"lib64", b"lib"),
        hostile.symlink(b"lib/later", b"not-there-yet"),
        hostile.hard_link(b"semver", b"packages/semver/bin/semver.js"),
    )

    into, entries = unpacked(tmp_path, data)

    program = into / "node_modules" / ".bin" / "semver"
    assert program.readlink() == Path("../semver/bin/semver.js")
    assert program.read_text() == "#!/usr/bin/env node\n"
    assert (into / "semver").samefile(program)
    assert (into / "lib64").is_dir()
    assert (into / "lib" / "later").is_symlink()
    assert {entry.path: entry.link for entry in entries if entry.link} == {
        "node_modules/.bin/semver": "../semver/bin/semver.js",
        "node_modules/semver": "../packages/semver",
        "lib64": "lib",
        "lib/later": "not-there-yet",
    }


def test_links_of_a_zip_are_kept(tmp_path: Path) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        mode = stat.S_IFLNK | 0o777 if info.filename == "bin/tool" else 0o100755
        info.external_attr = mode << 16

    files = {"bin/tool": b"../lib/tool.py", "lib/tool.py": b"print()\n"}

    into, _ = unpacked(tmp_path, hostile.zipped(files, change=change), kind="zip")

    assert (into / "bin" / "tool").readlink() == Path("../lib/tool.py")


def _make_clones(tree: Path) -> None:
    """A clone on one disk shares its objects with the original by hard links."""
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tree / "a", *arguments], check=True)
    subprocess.run(["git", "clone", "-q", tree / "a", tree / "b"], check=True)


@pytest.mark.parametrize(
    "make", [lambda tree: venv.create(tree, symlinks=False), _make_clones], ids=["venv", "git"]
)
def test_unpacks_what_tar_makes_of_real_trees(tmp_path: Path, make: Callable[[Path], None]) -> None:
    tree = tmp_path / "tree"
    make(tree)
    path = tmp_path / "tree.tar.zst"
    packed = tmp_path / "tree.tar"
    subprocess.run(["tar", "-C", tree, "-cf", packed, "."], check=True)
    path.write_bytes(hostile.compressed_zstd(packed.read_bytes()))
    into = tmp_path / "into"
    into.mkdir()

    archives.unpack(path, kind=str(archives.kind_of(path)), into=into)

    assert everything_below(into) == everything_below(tree)


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, hostile.compressed_zstd]
)
@pytest.mark.parametrize("size", [65_536, 131_072, 300_000])
def test_unpacks_what_cannot_be_compressed(
    tmp_path: Path, compress: Callable[[bytes], bytes], size: int
) -> None:
    """Such data fills the output buffer exactly, with nothing left behind it."""
    content = random.Random(size).randbytes(size)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("data")
        info.size = size
        archive.addfile(info, io.BytesIO(content))
    path = write(tmp_path, compress(buffer.getvalue()))
    into = tmp_path / "into"
    into.mkdir()

    archives.unpack(path, kind=str(archives.kind_of(path)), into=into)

    assert (into / "data").read_bytes() == content


def test_a_zip_of_more_entries_than_its_old_format_counts(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(65_600):
            archive.writestr(f"{number % 100}/{number}", b"")
    path = write(tmp_path, buffer.getvalue())
    into = tmp_path / "into"
    into.mkdir()
    few = archives.Limits(entries=65_599)

    with pytest.raises(archives.HostileArchive, match="more than 65599 entries"):
        archives.unpack(path, kind="zip", into=into, limits=few)

    assert everything_below(into) == set()


def test_the_default_limits_accept_a_large_application() -> None:
    limits = archives.DEFAULT_LIMITS

    assert (limits.entries, limits.total_bytes) == (200_000, 10 * 2**30)
    assert (limits.ratio, limits.ratio_from_bytes) == (200, 100 * 2**20)


def test_a_small_file_may_be_compressed_far(tmp_path: Path) -> None:
    """Eight megabytes of zeros are no bomb; a log or a font may look like that."""
    data = hostile.tar_gz(hostile.entry(b"zeros", bytes(8 * 2**20)))
    into = tmp_path / "into"
    into.mkdir()

    archives.unpack(write(tmp_path, data), kind="tar.gz", into=into)

    assert (into / "zeros").stat().st_size == 8 * 2**20


def test_a_file_that_is_too_large_is_refused_before_it_is_written(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    data = hostile.tar(hostile.entry(b"a", bytes(2000)))
    few = archives.Limits(total_bytes=1000)

    with pytest.raises(archives.HostileArchive, match="more than 1000 bytes"):
        archives.unpack(write(tmp_path, data), kind="tar", into=into, limits=few)

    assert everything_below(into) == set()


def test_modes_are_made_harmless(tmp_path: Path) -> None:
    data = hostile.tar_gz(hostile.entry(b"run", mode=0o4755), hostile.entry(b"data", mode=0o666))
    into = tmp_path / "into"
    into.mkdir()

    archives.unpack(write(tmp_path, data), kind="tar.gz", into=into)

    assert stat.S_IMODE((into / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((into / "data").stat().st_mode) == 0o644


def test_reads_what_gnu_tar_and_pax_write(tmp_path: Path) -> None:
    long_name = "deep/" * 20 + "a" * 120
    for number, form in enumerate([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]):
        path = tmp_path / f"{number}.tar.gz"
        source = tmp_path / "source"
        source.write_text("content")
        with tarfile.open(path, "w:gz", format=form) as archive:
            archive.add(source, "./short" if form == tarfile.USTAR_FORMAT else f"./{long_name}")
        into = tmp_path / f"into-{number}"
        into.mkdir()

        entries = archives.unpack(path, kind="tar.gz", into=into)

        assert (into / entries[0].path).read_text() == "content"


def test_a_name_with_accents_and_emoji_is_fine(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()

    archives.unpack(
        write(tmp_path, hostile.zipped({"docs/Überblick 🚀.md": b"x"})), kind="zip", into=into
    )

    assert (into / "docs" / "Überblick 🚀.md").exists()


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"<html>", b"\x1f\x8b\x08broken"]
)
def test_says_that_anything_else_is_no_archive(tmp_path: Path, data: bytes) -> None:
    assert archives.kind_of(write(tmp_path, data)) is None


def test_link_planted_in_the_target_is_never_followed(tmp_path: Path) -> None:
    into = tmp_path / "into"
    outside = tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "bin").symlink_to(outside)

    with pytest.raises(archives.HostileArchive):
        archives.unpack(write(tmp_path, hostile.good_tar_gz()), kind="tar.gz", into=into)

    assert everything_below(outside) == set()


def test_a_checkpoint_may_stop_it(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    into = tmp_path / "into"
    into.mkdir()

    with pytest.raises(Stopped):
        archives.unpack(
            write(tmp_path, hostile.good_tar_gz()), kind="tar.gz", into=into, checkpoint=stop
        )
