"""``make audit`` fails on a known vulnerability, and skips with a message where no advisory can be read."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / ".ci" / "audit.py"


@pytest.fixture
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("status", "errors", "has_findings", "text"),
    [
        (0, "No known vulnerabilities found", False, "No known vulnerabilities found"),
        (1, "Found 1 known vulnerability in 1 package", True, "Found 1 known vulnerability"),
        (1, "requests.exceptions.ConnectionError: Max retries", False, "pip-audit: skipped"),
        (1, "ERROR: requirements.lock is broken", True, "requirements.lock is broken"),
    ],
)
def test_dependencies_are_audited_or_skipped_with_a_message(
    audit: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    errors: str,
    has_findings: bool,
    text: str,
) -> None:
    asked: list[str] = []

    def run(module: str, *options: str, **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.extend((module, *options))
        return subprocess.CompletedProcess([], status, b"", errors.encode())

    monkeypatch.setattr(audit, "run", run)

    assert audit.audit_dependencies() is has_findings
    assert text in capsys.readouterr().out
    assert asked[0] == "pip_audit"
    assert asked[-2:] == ["--requirement", "requirements.lock"]
