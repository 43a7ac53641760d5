"""Downloads from servers that misbehave: refused with a reason of their own, nothing left behind."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from updates.artifacts import store as artifacts
from updates.step_context import StepFailed

Answer = Callable[[socket.socket, threading.Event], None]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    folder = tmp_path / "artifacts"
    settings.SAGA_ARTIFACTS_DIR = folder
    return folder


def fetch(url: str, *, deadline_seconds: float = 5.0) -> artifacts.Artifact:
    return artifacts.fetch_to_store(
        url,
        deadline_seconds=deadline_seconds,
        checkpoint=lambda: None,
        report=lambda _percent, _message: None,
    )


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server that speaks whatever bytes it likes."""
    is_over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            answer(connection, is_over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/shop.tar.gz"
        finally:
            is_over.set()
            thread.join()


def shorter_than_it_says(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")


def larger_than_any_artifact(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2**40))


def dripping_headers(connection: socket.socket, is_over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not is_over.wait(0.05):
        connection.sendall(b"X")


def endless(connection: socket.socket, is_over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not is_over.wait(0.02):
        connection.sendall(b"x" * 1000)


def silent(_connection: socket.socket, is_over: threading.Event) -> None:
    is_over.wait(30)


def rubbish(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


def broken_chunks(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")


def not_found(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def inside_by_redirect(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\n\r\n"
    )


def compressed(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (shorter_than_it_says, "cut short"),
        (larger_than_any_artifact, "has more than|disk is full"),
        (dripping_headers, "did not answer in time"),
        (endless, "did not end in time"),
        (silent, "did not answer in time"),
        (rubbish, "not HTTP"),
        (broken_chunks, "cut short|not HTTP"),
        (not_found, "answered 404"),
        (inside_by_redirect, "never called"),
        (compressed, "compresses"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_refuses_what_a_misbehaving_server_sends(answer: Answer, reason: str, store: Path) -> None:
    with serving(answer) as url, pytest.raises(StepFailed, match=reason):
        fetch(url, deadline_seconds=1.0)

    assert [path for path in store.rglob("*") if path.is_file()] == []


def test_keeps_an_artifact_under_its_digest(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"hello")

    artifact = fetch(httpserver.url_for("/shop"))

    digest = hashlib.sha256(b"hello").hexdigest()
    assert (artifact.sha256, artifact.size) == (digest, 5)
    assert artifacts.content_path(digest).read_bytes() == b"hello"
    assert artifacts.find(digest) == artifact


def test_does_not_find_what_was_changed_on_disk(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"hello")
    artifact = fetch(httpserver.url_for("/shop"))

    artifact.path.write_bytes(b"hallo")

    assert artifacts.find(artifact.sha256) is None
    with pytest.raises(StepFailed, match="not what was fetched"):
        artifacts.verify(artifact, checksum="", checkpoint=lambda: None)


def test_forgets_what_no_release_refers_to_any_more(store: Path) -> None:
    folder = store / ".content"
    folder.mkdir(parents=True)
    old, old_and_named, young = (folder / (letter * 64) for letter in "abc")
    for path in (old, old_and_named, young):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(old_and_named, (0, 0))
    (store / "v1").hardlink_to(old_and_named)

    artifacts.forget_unnamed()

    assert set(folder.iterdir()) == {old_and_named, young}


def test_reports_progress_while_a_download_runs(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"x" * 300_000)
    said: list[tuple[int, str]] = []

    artifacts.fetch_to_store(
        httpserver.url_for("/shop"),
        deadline_seconds=5,
        checkpoint=lambda: None,
        report=lambda percent, message: said.append((percent, message)),
    )

    assert said[-1] == (100, "0.3 of 0.3 MiB fetched")
    assert [percent for percent, _ in said] == sorted(percent for percent, _ in said)


def test_says_that_the_disk_is_full_and_leaves_nothing(
    httpserver: HTTPServer, store: Path, limited_file_size: None
) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"x" * 300_000)

    with pytest.raises(StepFailed, match="could not be stored: the disk"):
        fetch(httpserver.url_for("/shop"))

    assert [path for path in store.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "checksum",
    [
        "sha256:abc123...",
        "sha256:" + "0" * 63,
        "md5:" + "0" * 32,
        "sha256:" + "g" * 64,
        "x",
        "sha512:00",
    ],
)
def test_a_checksum_that_is_no_digest_fails(checksum: str) -> None:
    with pytest.raises(StepFailed, match="is no digest"):
        artifacts.read_digest(checksum)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_holds_an_artifact_against_the_digest_that_was_announced(
    httpserver: HTTPServer, algorithm: str
) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"hello")
    artifact = fetch(httpserver.url_for("/shop"))
    digest = hashlib.new(algorithm, b"hello").hexdigest().upper()

    sentence = artifacts.verify(artifact, checksum=f"{algorithm}:{digest}", checkpoint=lambda: None)

    assert "as announced" in sentence


def test_what_a_killed_worker_left_is_removed_by_the_next_download(
    httpserver: HTTPServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/shop").respond_with_data(b"hello")
    monkeypatch.setattr(artifacts, "ABANDONED_AFTER_SECONDS", 0)
    (store / ".content").mkdir(parents=True)
    (store / ".content" / ".part-of-a-dead-worker").write_bytes(b"half")

    fetch(httpserver.url_for("/shop"))

    assert not list(store.rglob(".part-*"))
