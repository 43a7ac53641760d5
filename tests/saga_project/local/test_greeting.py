"""What a start says to the person at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from saga_project.local import embedded, greeting


def test_the_launcher_names_the_file_of_the_local_token_and_not_the_token(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.SAGA_DATA_DIR = tmp_path
    token = embedded.secret(tmp_path, "local_token")

    greeting.say_where_the_token_is()
    assert capsys.readouterr().out == ""
    settings.SAGA_AUTH = "local-token"
    greeting.say_where_the_token_is()

    reported = capsys.readouterr().out
    path = next(Path(word.rstrip(";")) for word in reported.split() if word.startswith("/"))
    assert path.read_text().strip() == token
    assert token not in reported
