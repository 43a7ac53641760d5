"""Tracing is an extra: without its packages, or unasked, nothing of it is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from saga_project.shared import tracing


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing asked for, and nothing begun; what a test sets does not stay."""
    for name in (*tracing.ASKED_BY, *tracing.DEFAULTS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    tracing.begin.cache_clear()
    yield
    tracing.begin.cache_clear()


def test_without_its_packages_asking_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "auto_instrumentation", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")

    assert not tracing.begin()
    assert "OTEL_SERVICE_NAME" not in os.environ


@pytest.mark.parametrize("asked_by", [None, *tracing.ASKED_BY])
def test_it_begins_once_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked_by: str | None
) -> None:
    begun: list[str] = []
    package = SimpleNamespace(initialize=lambda: begun.append(os.environ["OTEL_SERVICE_NAME"]))
    monkeypatch.setattr(tracing, "auto_instrumentation", package)
    if asked_by:
        monkeypatch.setenv(asked_by, "http://localhost:4318")

    assert tracing.begin() is tracing.begin() is bool(asked_by)
    assert begun == (["saga"] if asked_by else [])
