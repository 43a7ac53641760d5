"""Tags of git repositories, served by git itself, and objects of S3-style buckets."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from updates.errors import SourceUnavailable
from updates.releases import sources

GIT = shutil.which("git") or ""


# --- git ------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{role}_{what}": "ci@example.com"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        [GIT, *arguments],
        cwd=folder,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _serve_git(server: HTTPServer, folder: Path, *, knows_version_2: bool = True) -> None:
    """Hand each request to ``git http-backend``, as web servers do."""

    def answer(request: Request) -> Response:
        asked = request.headers.get("Git-Protocol", "") if knows_version_2 else ""
        done = subprocess.run(
            [GIT, "http-backend"],
            input=request.get_data(),
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": asked,
                "REQUEST_METHOD": request.method,
                "PATH_INFO": request.path,
                "QUERY_STRING": request.query_string.decode(),
                "CONTENT_TYPE": request.content_type or "",
                "CONTENT_LENGTH": str(len(request.get_data())),
            },
            capture_output=True,
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return Response(body, int(headers.pop("Status", "200")[:3]), headers)

    server.expect_request("/app.git/info/refs").respond_with_handler(answer)
    server.expect_request("/app.git/git-upload-pack", method="POST").respond_with_handler(answer)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a plain tag, an annotated one, and one of another package."""
    if not GIT:
        pytest.skip("git is not installed")
    folder = tmp_path / "app.git"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    for tag in ("payment-v1.9.0", "zeta-v9.0.0"):
        _git(folder, "tag", tag)
    _git(folder, "tag", "--annotate", "--message", "Release", "payment-v1.10.0")
    return folder


@pytest.mark.parametrize("knows_version_2", [True, False], ids=["version 2", "version 0"])
def test_tags_are_read_from_a_git_server(
    httpserver: HTTPServer, repository: Path, knows_version_2: bool
) -> None:
    _serve_git(httpserver, repository.parent, knows_version_2=knows_version_2)
    options = {
        "tag_prefix": "payment-",
        "artifact_url": "https://x.example/{tag}/app-{version}.tgz",
    }

    answer = sources.ASK["git"](
        sources.Query(location=httpserver.url_for("/app.git"), options=options)
    )

    newest, older = answer.found or ()
    assert (newest.version, older.version) == ("1.10.0", "1.9.0")
    assert newest.artifact_url == "https://x.example/payment-v1.10.0/app-1.10.0.tgz"
    assert _git(repository, "rev-parse", "HEAD") in newest.notes
    assert set(answer.listed or ()) == {"1.10.0", "1.9.0"}
    assert len(httpserver.log) == (2 if knows_version_2 else 1)


def test_a_git_server_gets_a_token_as_a_password(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/app.git/info/refs").respond_with_data("", status=401)

    with pytest.raises(SourceUnavailable, match="refuses our token"):
        sources.ASK["git"](sources.Query(location=httpserver.url_for("/app.git"), token="t0ken"))

    authorization = httpserver.log[0][0].authorization
    assert authorization is not None
    assert authorization.password == "t0ken"


ADVERTISED = {"Content-Type": "application/x-git-upload-pack-advertisement"}


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        ("<html>", {"Content-Type": "text/html"}, "no git repository"),
        ("00ffshort", ADVERTISED, "cut short"),
        ("zzzz", ADVERTISED, "git's protocol"),
        ("-001", ADVERTISED, "git's protocol"),
    ],
)
def test_what_is_not_of_gits_protocol_is_refused(
    httpserver: HTTPServer, body: str, headers: dict[str, str], words: str
) -> None:
    httpserver.expect_request("/app.git/info/refs").respond_with_data(body, headers=headers)

    with pytest.raises(SourceUnavailable, match=words):
        sources.ASK["git"](sources.Query(location=httpserver.url_for("/app.git")))


# --- S3 -------------------------------------------------------------------------------------------


def _serve_bucket(server: HTTPServer, keys: list[str], *, page_size: int = 2) -> None:
    """ListObjectsV2, cut into pages by continuation tokens."""

    def answer(request: Request) -> Response:
        assert request.args["list-type"] == "2"
        fit = [key for key in keys if key.startswith(request.args.get("prefix", ""))]
        start = int(request.args.get("continuation-token", "token+0").removeprefix("token+"))
        page, end = fit[start : start + page_size], start + page_size
        more = f"<NextContinuationToken>token+{end}</NextContinuationToken>"
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-02-01T10:00:00.000Z</LastModified>"
            f'<ETag>"d41d8cd9"</ETag><Size>1048576</Size></Contents>'
            for key in page
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>releases</Name>'
            f"<IsTruncated>{'true' if end < len(fit) else 'false'}</IsTruncated>"
            f"{more if end < len(fit) else ''}{entries}</ListBucketResult>"
        )
        return Response(body, content_type="application/xml")

    server.expect_request("/releases/").respond_with_handler(answer)


KEYS = [
    "app/",
    "app/payment-1.9.0-linux.tar.gz",
    "app/payment-1.9.0-linux.tar.gz.sha256",
    "app/payment-1.10.0-linux.tar.gz",
    "app/payment-1.10.0-darwin.tar.gz",
    "zeta/zeta-9.0.0.tar.gz",
]
S3_OPTIONS = {"key_prefix": "app/", "key_pattern": r"payment-(?<version>[0-9.]+[0-9])-.*"}


def _ask_bucket(server: HTTPServer, **options: Any) -> sources.Answer:
    query = sources.Query(location=server.url_for("/releases"), options={**S3_OPTIONS, **options})
    return sources.ASK["s3"](query)


def test_a_bucket_is_listed_to_its_end(httpserver: HTTPServer) -> None:
    _serve_bucket(httpserver, KEYS)

    answer = _ask_bucket(httpserver, asset="*-linux.tar.gz")

    newest, older = answer.found or ()
    assert (newest.version, older.version) == ("1.10.0", "1.9.0")
    assert newest.artifact_url == httpserver.url_for("/releases/app/payment-1.10.0-linux.tar.gz")
    assert newest.published_at == dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)
    assert (newest.size_bytes, answer.warning) == (1048576, "")


def test_several_objects_of_one_version_are_asked_about(httpserver: HTTPServer) -> None:
    _serve_bucket(httpserver, KEYS)

    newest, older = _ask_bucket(httpserver).found or ()

    assert "Several files fit" in newest.artifact_problem
    assert older.artifact_url.endswith("/payment-1.9.0-linux.tar.gz")


def test_a_bucket_that_was_not_read_to_its_end_says_so(
    httpserver: HTTPServer, settings: Any
) -> None:
    settings.SAGA_SOURCE_MAX_PAGES = 2
    _serve_bucket(httpserver, KEYS)

    answer = _ask_bucket(httpserver)

    assert "not read to its end" in answer.warning
    assert answer.listed is None
