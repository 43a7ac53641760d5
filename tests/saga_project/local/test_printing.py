"""What the launcher prints, for people and as JSON."""

from __future__ import annotations

import json

import pytest

from saga_project.local import printing


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGA_LOG_FORMAT", "json")


def test_a_line_stands_after_the_name_of_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGA_LOG_FORMAT", raising=False)

    assert printing.render("beat", "started") == "beat     | started"


@pytest.mark.usefixtures("as_json")
@pytest.mark.parametrize("text", ["started", "", "{", "[1]", '{"a": ', "null", "\ud83d"])
def test_a_line_that_is_no_object_becomes_one(text: str) -> None:
    fact = json.loads(printing.render("beat", text))

    assert (fact["program"], fact["event"], fact["level"]) == ("beat", text, "info")
    assert fact["timestamp"].endswith("Z")


@pytest.mark.usefixtures("as_json")
def test_an_object_keeps_its_keys_and_names_its_program() -> None:
    line = printing.render("web.1", '{"event": "asked", "level": "warning"}')

    assert json.loads(line) == {"program": "web.1", "event": "asked", "level": "warning"}


@pytest.mark.usefixtures("as_json")
def test_an_exception_that_nothing_caught_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    fault = ZeroDivisionError("a fault of Saga")

    printing.end_with_traceback(ZeroDivisionError, fault, None)

    [line] = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: a fault of Saga" in json.loads(line)["event"]


@pytest.mark.usefixtures("as_json")
def test_what_stops_a_start_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    printing.end_with("PORT is taken.\nChoose another.")

    fact = json.loads(capsys.readouterr().err)
    assert fact["event"] == "PORT is taken.\nChoose another."
    assert fact["level"] == "error"
