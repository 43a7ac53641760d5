"""What events mean to people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from webhooks.models import Severity
from webhooks.outbound.alerts import catalogue

ROOT = Path(__file__).resolve().parents[4]


def test_an_end_names_a_problem_that_begins_somewhere() -> None:
    begun = {kind.problem for kind in catalogue.KINDS.values()} | {"health", "attention"}
    ended = {
        problem for kind in catalogue.KINDS.values() for problem in (*kind.ends, *kind.ends_all)
    }

    assert ended <= begun


@pytest.mark.parametrize(
    ("new", "severity", "problem"),
    [("warning", "warning", "health"), ("critical", "error", "health"), ("passing", "info", "")],
)
def test_health_is_a_problem_until_it_passes(new: str, severity: str, problem: str) -> None:
    data = {"instance_id": "i-1", "old": "warning", "new": new, "note": None}

    meaning = catalogue.read("health.changed", data)

    assert (meaning.severity, meaning.problem) == (severity, problem)
    assert meaning.ends == ((("health", "i-1"), ("check", "i-1")) if new == "passing" else ())


@pytest.mark.parametrize(("version", "ending"), [("2.0", "i-1 2.0"), ("", "i-1"), (None, "i-1")])
def test_a_registration_names_the_version_where_there_is_one(
    version: str | None, ending: str
) -> None:
    meaning = catalogue.read("service.registered", {"instance_id": "i-1", "version": version})

    assert meaning.text == f"Registered: instance {ending}"


def test_a_failed_rollback_is_critical() -> None:
    data = {"job_id": "deploy-1", "error": "no", "needs_attention": True}

    meaning = catalogue.read("deployment.failed", data)

    assert (meaning.severity, meaning.problem) == (Severity.CRITICAL, "attention")
    assert meaning.subject == "deploy-1"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"instance_id": None}, {"instance_id": {}}])
@pytest.mark.parametrize("kind", [*catalogue.KINDS, "health.changed", "unheard.of"])
def test_any_data_is_read(kind: str, data: object) -> None:
    assert catalogue.read(kind, data).text


def test_values_are_inserted_as_they_are() -> None:
    hostile = "{0.__class__} %s ${x} {version}"

    meaning = catalogue.read("update.check_failed", {"reason": hostile})

    assert hostile in meaning.text


def test_a_text_is_bounded() -> None:
    meaning = catalogue.read("update.check_failed", {"reason": "x" * 100_000})

    assert len(meaning.text) == catalogue.MAX_TEXT_LENGTH


def test_every_type_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text()
    documented = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text))

    assert {*catalogue.KINDS, "health.changed"} <= documented
