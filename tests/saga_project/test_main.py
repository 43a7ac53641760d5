"""The commands of the server under the names that ``saga server`` gives them."""

from __future__ import annotations

import pytest

from saga_project.__main__ import SagaCommands
from saga_project.local import commands


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_names_the_command_as_it_is_typed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        SagaCommands(["saga server", name, "--help"]).execute()

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: saga server {name} ")
    assert "--settings" not in text


def test_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        SagaCommands(["saga server", "sing"]).execute()

    assert ended.value.code == 1
    assert "Unknown command: 'sing'" in capsys.readouterr().err
