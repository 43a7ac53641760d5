from __future__ import annotations

import contextlib
import stat
import tarfile
from pathlib import Path

import pytest

from tests.updates.artifacts.archives import hostile
from updates.artifacts import archives


def write(folder: Path, data: bytes) -> Path:
    path = folder / "artifact"
    path.write_bytes(data)
    return path


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "zip"])
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
        archives.unpack(path, kind=kind, into=into)

    assert everything_below(tmp_path / "cage") - {"into"} == {
        f"into/{found}" for found in everything_below(into)
    }
    assert everything_below(tmp_path) >= {"artifact", "cage"}
    assert not [found for found in into.rglob("*") if found.is_symlink()]


def test_the_hostile_archives_are_many_and_have_distinct_reasons() -> None:
    reasons = {reason for _, reason, _ in hostile.REFUSED.values()}

    assert len(hostile.REFUSED) >= 40
    assert len(reasons) >= 25


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "zip"])
def test_a_mutated_archive_is_refused_or_stays_inside(tmp_path: Path, kind: str) -> None:
    for seed in range(60):
        cage = tmp_path / str(seed)
        into = cage / "into"
        into.mkdir(parents=True)
        path = write(tmp_path, hostile.mutated(kind, seed))

        with contextlib.suppress(archives.HostileArchive):
            archives.unpack(path, kind=kind, into=into)

        assert all(found.is_relative_to(into) for found in cage.rglob("*") if found != into)
        assert not [found for found in into.rglob("*") if found.is_symlink()]


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


def test_never_follows_a_link_that_somebody_puts_in_the_way(tmp_path: Path) -> None:
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
