"""Static files under names with their digest, which browsers keep for a year."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brotli
import pytest
from django.conf import LazySettings
from django.contrib.staticfiles import finders, storage
from django.http import HttpResponse
from django.test import RequestFactory

from saga_project.shared import static_files
from saga_project.web import compression

#: A response that is closed ends the connections of its request.
pytestmark = pytest.mark.django_db
NAME = "saga/console.css"


@pytest.fixture
def collected(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Collect the two files that stand for all."""
    settings.SAGA_DATA_DIR = tmp_path
    found = static_files._found()
    few = {name: found[name] for name in (NAME, "saga/console.js")}
    monkeypatch.setattr(static_files, "_found", lambda: few)
    assert static_files.collect() is True
    assert static_files.collect() is False
    hashed = static_files.HashedStaticFiles()
    monkeypatch.setattr(storage.staticfiles_storage, "_wrapped", hashed, raising=False)
    return tmp_path


def _get(address: str, encoding: str) -> tuple[int, Any, bytes]:
    """Return the status, the headers and the body, as they are sent."""
    middleware = compression.StaticFilesMiddleware(lambda _request: HttpResponse(status=404))
    request = RequestFactory().get(address, headers={"Accept-Encoding": encoding})
    answer: Any = middleware(request)
    body = b"".join(answer)
    answer.close()
    return answer.status_code, answer.headers, body


def test_collected_files_are_kept_for_a_year_and_compressed(collected: Path) -> None:
    address = storage.staticfiles_storage.url(NAME)
    plain = Path(str(finders.find(NAME))).read_bytes()

    _, headers, body = _get(address, "gzip, br")

    assert address != f"/static/{NAME}"
    assert headers["Cache-Control"] == "max-age=31536000, public, immutable"
    assert (headers["Content-Encoding"], headers["Vary"]) == ("br", "Accept-Encoding")
    assert brotli.decompress(body) == plain
    assert _get(address, "gzip")[1]["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in _get(address, "identity")[1]


def test_what_changed_gets_another_name(collected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, folder = storage.staticfiles_storage.url(NAME), static_files.folder()
    monkeypatch.setattr(static_files, "_digest", lambda _found: "another")

    assert static_files.collect() is True
    assert static_files.folder() != folder
    assert folder.is_dir()  # for the processes that began with it
    assert static_files.HashedStaticFiles().url(NAME) == before


def test_without_a_collection_names_are_plain(settings: LazySettings, tmp_path: Path) -> None:
    settings.SAGA_DATA_DIR = tmp_path

    assert static_files.HashedStaticFiles().url(NAME) == f"/static/{NAME}"
    assert _get(f"/static/{NAME}", "gzip")[0] == 200
