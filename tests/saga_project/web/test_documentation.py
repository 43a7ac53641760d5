"""The documentation site at /docs/: files of one folder, with the content policy of every page."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from saga_project.web import documentation


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "documentation"
    (folder / "_static").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Saga</h1>")
    (folder / "quickstart.html").write_text("<h1>Quickstart</h1>")
    (folder / "_static" / "furo.css").write_text("body {}")
    (tmp_path / "secret.txt").write_text("s3cret")
    monkeypatch.setattr(documentation, "FOLDER", folder)
    return folder


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/docs/", "text/html", b"<h1>Saga</h1>"),
        ("/docs/quickstart.html", "text/html", b"<h1>Quickstart</h1>"),
        ("/docs/_static/furo.css?v=1", "text/css", b"body {}"),
    ],
)
def test_files_of_the_site_are_served_with_the_content_policy(
    api: APIClient, path: str, kind: str, text: bytes
) -> None:
    answer = api.get(path)

    assert answer.status_code == 200
    assert b"".join(iter(answer)) == text
    assert answer["Content-Type"].startswith(kind)
    assert answer["Cache-Control"] == "no-cache"
    policy = answer["Content-Security-Policy"].split("; ")  # its order differs between processes
    assert "script-src 'self'" in policy
    assert not any("unsafe" in directive for directive in policy)


@pytest.mark.usefixtures("site")
def test_a_file_that_the_browser_has_is_not_sent_again(api: APIClient) -> None:
    modified = api.get("/docs/")["Last-Modified"]

    assert api.get("/docs/", headers={"If-Modified-Since": modified}).status_code == 304


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "path",
    [
        *("nothing.html", "_static/", "x" * 300),
        *("../secret.txt", "%2e%2e/secret.txt", "..%5csecret.txt"),
    ],
)
def test_nothing_else_is_served(api: APIClient, path: str) -> None:
    assert api.get(f"/docs/{path}").status_code in {400, 404}


@pytest.mark.usefixtures("site")
def test_the_address_without_a_slash_leads_there_and_nothing_can_be_written(api: APIClient) -> None:
    assert api.get("/docs")["Location"] == "/docs/"
    assert api.post("/docs/").status_code == 405


def test_without_a_site_the_page_says_how_to_get_it(
    api: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documentation, "FOLDER", tmp_path)

    answer = api.get("/docs/")

    assert answer.status_code == 404
    assert b"make docs" in answer.content


def test_the_site_is_a_part_of_the_package() -> None:
    assert documentation.FOLDER == settings.PACKAGE_DIR / "documentation"
