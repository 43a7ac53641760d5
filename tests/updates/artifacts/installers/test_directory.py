"""Releases on disk: complete or absent, kept as many as asked, refused where they are not what they claim."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.updates.artifacts.archives import hostile
from updates.artifacts import store
from updates.artifacts.installers import backups, directory, manifests
from updates.models import Target
from updates.step_context import StepContext, StepFailed

Make = Callable[..., StepContext]


@pytest.fixture
def make(tmp_path: Path, settings: Settings) -> Make:
    """A step context with its artifact in the store already, as after its fetch."""
    settings.SAGA_ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.SAGA_BACKUPS_DIR = tmp_path / "backups"

    def make(version: str, data: bytes | None = None, **fields: Any) -> StepContext:
        content = data or hostile.good_tar_gz({"VERSION": version.encode()})
        digest = hashlib.sha256(content).hexdigest()
        path = store.content_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        values: dict[str, Any] = {
            "service_name": "shop",
            "kind": "deploy",
            "version": version,
            "job_id": f"deploy-shop-{version}-1",
            "target": Target(keep_releases=2),
            "fence": 1,
            "deadline_seconds": 5,
            "artifact_url": f"https://ci.example/shop-{version}.tar.gz",
            "artifact_sha256": digest,
            "root": tmp_path / "root",
        }
        return StepContext(**{**values, **fields})

    return make


def install(context: StepContext) -> None:
    previous = directory.back_up(context).result["previous"]
    directory.unpack(context)
    directory.switch(dataclasses.replace(context, previous=previous))
    directory.clean_up(dataclasses.replace(context, previous=previous))


def kept(context: StepContext) -> list[str]:
    return sorted(path.name for path in (context.root / "releases").iterdir())


def test_keeps_as_many_releases_as_the_target_says(make: Make) -> None:
    for version in ("1", "2", "3", "4"):
        install(make(version))

    assert kept(make("4")) == ["3", "4"]
    assert (make("4").root / "current" / "VERSION").read_text() == "4"


def test_every_step_may_run_twice(make: Make) -> None:
    install(make("1"))
    context = make("2")
    for step in (directory.verify, directory.unpack, directory.back_up, directory.switch):
        step(context)
        step(context)

    assert (context.root / "current" / "VERSION").read_text() == "2"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("shop.tar.gz", ["VERSION"]),
        ("shop.tgz", ["VERSION"]),
        ("download", ["VERSION"]),
        ("shop.jar", ["shop.jar"]),
    ],
)
def test_unpacks_what_is_an_archive_and_is_not_run_as_it_is(
    make: Make, name: str, files: list[str]
) -> None:
    context = make("1", artifact_url=f"https://ci.example/{name}")

    directory.unpack(context)

    assert [path.name for path in (context.root / "releases" / "1").iterdir()] == files


@pytest.mark.parametrize("name", ["app.tar", "app.tar.bz2", "app.tar.zst", "app.tar.xz"])
def test_unpacks_every_kind_of_tar(make: Make, name: str) -> None:
    data = hostile.good()[name.removeprefix("app.")]
    context = make("1", data, artifact_url=f"https://ci.example/{name}")

    directory.unpack(context)

    assert (context.root / "releases" / "1" / "README").read_text() == "hello\n"


LINKED = hostile.tar_gz(
    hostile.entry(b"lib/tool.py", b"print()\n"), hostile.symlink(b"bin/tool", b"../lib/tool.py")
)


def test_links_are_part_of_the_release_and_of_its_backup(make: Make) -> None:
    install(make("1", LINKED))
    context = dataclasses.replace(make("2"), previous="1")
    install(context)
    shutil.rmtree(context.root / "releases" / "1")

    directory.restore(context)

    link = context.root / "current" / "bin" / "tool"
    assert link.readlink() == Path("../lib/tool.py")
    assert link.read_text() == "print()\n"


def test_a_link_that_was_changed_in_place_makes_the_release_incomplete(make: Make) -> None:
    context = make("1", LINKED)
    install(context)
    link = context.root / "releases" / "1" / "bin" / "tool"
    link.unlink()
    link.symlink_to("/etc/passwd")

    manifest = manifests.read(context.root / "manifests" / "1.json")
    fault = manifests.fault(manifest, context.root / "releases" / "1", context.checkpoint)

    assert fault == "the link bin/tool is missing or was changed"


def test_limits_of_archives_are_settings(make: Make, settings: Settings) -> None:
    settings.SAGA_ARCHIVE_MAX_ENTRIES = 1
    context = make("1", hostile.good_tar_gz({"a": b"1", "b": b"2"}))

    with pytest.raises(StepFailed, match="more than 1 entries"):
        directory.unpack(context)


def test_a_plain_file_is_installed_ready_to_run(make: Make) -> None:
    context = make("1", b"#!/bin/sh\n", artifact_url="https://ci.example/shop-run")

    directory.unpack(context)

    installed = context.root / "releases" / "1" / "shop-run"
    assert installed.read_bytes() == b"#!/bin/sh\n"
    assert installed.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("url", "kind", "reason"),
    [
        ("https://ci.example/shop.tar.gz", "binary", "not the tar.gz that its name promises"),
        ("https://ci.example/shop.zip", "binary", "not the zip that its name promises"),
        ("https://ci.example/shop.tar.bz2", "binary", "not the tar.bz2 that its name promises"),
        ("https://ci.example/shop.tar.zst", "binary", "not the tar.zst that its name promises"),
        ("https://ci.example/shop.tar", "binary", "called an archive, but is none of"),
        ("https://ci.example/shop.7z", "binary", "is a .7z archive"),
        ("https://ci.example/shop.tar.lz4", "archive", "is a .tar.lz4 archive"),
        ("https://ci.example/shop", "archive", "called an archive, but is none of"),
    ],
)
def test_refuses_what_is_not_what_it_claims(make: Make, url: str, kind: str, reason: str) -> None:
    context = make("1", b"<html>Sign in</html>", artifact_url=url, artifact_type=kind)

    with pytest.raises(StepFailed, match=reason):
        directory.unpack(context)

    assert kept(context) == []


def test_a_hostile_archive_leaves_nothing_behind(make: Make, tmp_path: Path) -> None:
    install(make("1"))
    context = make("2", hostile.tar_gz(hostile.entry(b"good"), hostile.entry(b"../../evil")))

    with pytest.raises(StepFailed, match="leaves the folder"):
        directory.unpack(context)

    assert kept(context) == ["1"]
    assert not list(tmp_path.rglob("*evil*"))
    assert not list(tmp_path.rglob(".part-*"))


def test_a_version_that_runs_never_changes_its_content(make: Make) -> None:
    install(make("1"))

    with pytest.raises(StepFailed, match="runs already with another content"):
        directory.unpack(make("1", hostile.good_tar_gz({"VERSION": b"1, but other"})))


def test_a_version_that_does_not_run_may_be_made_anew(make: Make) -> None:
    install(make("1"))
    install(make("2"))

    directory.unpack(make("1", hostile.good_tar_gz({"VERSION": b"1, repaired"})))

    assert (make("1").root / "releases" / "1" / "VERSION").read_text() == "1, repaired"


def test_an_artifact_that_changes_on_disk_after_it_was_verified_is_refused(make: Make) -> None:
    context = make("1")
    directory.verify(context)
    store.content_path(context.artifact_sha256).write_bytes(b"something else")

    with pytest.raises(StepFailed, match="changed on disk"):
        directory.unpack(context)


def test_a_backup_that_came_out_wrong_is_not_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(make("1"))
    monkeypatch.setattr(shutil, "copyfile", lambda _source, to, **_: to.write_bytes(b"?"))

    with pytest.raises(StepFailed, match="unlike what runs"):
        directory.back_up(make("2"))

    assert [path.name for path in backups.path_of("shop", "1").parent.iterdir()] == [".lock"]


def test_a_backup_has_what_runs_even_if_it_was_changed_in_place(make: Make) -> None:
    context = make("1")
    install(context)
    (context.root / "releases" / "1" / "VERSION").write_text("patched")

    outcome = directory.back_up(make("2"))

    assert "had been changed in place" in outcome.message
    assert (backups.path_of("shop", "1") / "release" / "VERSION").read_text() == "patched"


def test_a_backup_that_was_damaged_is_not_used(make: Make) -> None:
    install(make("1"))
    context = make("2")
    install(context)
    (backups.path_of("shop", "1") / "release" / "VERSION").write_text("damaged")
    (context.root / "releases" / "1" / "VERSION").write_text("damaged, too")

    with pytest.raises(StepFailed, match="backup of 1 cannot be used"):
        directory.restore(dataclasses.replace(context, previous="1"))

    assert (context.root / "current" / "VERSION").read_text() == "2"


def test_the_first_deployment_is_rolled_back_to_nothing(make: Make) -> None:
    context = make("1")
    install(context)

    directory.restore(dataclasses.replace(context, previous=None))

    assert not (context.root / "current").exists()


def test_an_image_is_nothing_for_a_directory(make: Make) -> None:
    with pytest.raises(StepFailed, match="cannot install an image"):
        directory.fetch(make("1", artifact_type="image"))


def test_rollback_without_a_release_uses_the_backup(make: Make) -> None:
    install(make("1"))
    install(make("2"))
    context = make("1", kind="rollback", artifact_url="", artifact_sha256="")
    (context.root / "releases" / "1" / "VERSION").unlink()

    outcome = directory.fetch(context)

    assert outcome.message == "Restored from its backup."
    assert (context.root / "releases" / "1" / "VERSION").read_text() == "1"


def test_a_rollback_needs_no_url_while_its_backup_is_whole(make: Make) -> None:
    """Registries forget old artifacts; what ran here was kept for this."""
    install(make("1"))
    install(make("2"))
    store.content_path(make("1").artifact_sha256).unlink()
    context = make("1", kind="rollback", artifact_url="http://127.0.0.1:9/gone", artifact_sha256="")
    (context.root / "releases" / "1" / "VERSION").unlink()

    for step in (directory.fetch, directory.verify, directory.unpack, directory.switch):
        step(context)

    assert (context.root / "current" / "VERSION").read_text() == "1"


@pytest.mark.parametrize("encoding", ["x-gzip", "gzip", "GZIP"])
def test_a_content_encoding_that_names_the_file_is_a_label(
    make: Make, httpserver: HTTPServer, encoding: str
) -> None:
    data = hostile.good_tar_gz()
    headers = {"Content-Encoding": encoding}
    httpserver.expect_request("/shop.tar.gz").respond_with_data(data, headers=headers)
    context = make("1", artifact_url=httpserver.url_for("/shop.tar.gz"), artifact_sha256="")

    fetched = directory.fetch(context)

    assert fetched.result["sha256"] == hashlib.sha256(data).hexdigest()
    assert store.content_path(fetched.result["sha256"]).read_bytes() == data


def test_a_compressed_answer_of_an_unknown_format_is_refused(
    make: Make, httpserver: HTTPServer
) -> None:
    headers = {"Content-Encoding": "gzip"}
    httpserver.expect_request("/shop").respond_with_data(b"x", headers=headers)
    url = httpserver.url_for("/shop")

    with pytest.raises(StepFailed, match="compresses its answer"):
        directory.fetch(make("1", artifact_url=url, artifact_sha256=""))

    digest = hashlib.sha256(b"y").hexdigest()
    context = make("1", artifact_url=url, artifact_sha256="", checksum=f"sha256:{digest}")
    fetched = directory.fetch(context)
    with pytest.raises(StepFailed, match="not sha256"):
        directory.verify(dataclasses.replace(context, artifact_sha256=fetched.result["sha256"]))
