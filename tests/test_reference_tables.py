"""The documents' tables of scopes, commands and metrics list what the code has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from saga_client.command_line import main

from registry.identity import scopes

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("registry", "saga_project", "updates", "webhooks")
INSTRUMENT = re.compile(
    r"\b(Counter|CounterMetricFamily|Histogram|metrics\.counter|metrics\.gauge|gauge)\("
    r"\s*\"(saga_\w+)\""
)
COUNTERS = {"Counter", "CounterMetricFamily", "metrics.counter"}


def first_cells(page: str, heading: str) -> str:
    """Return the first cells of the tables below a heading, up to the next heading of its level."""
    text = (ROOT / "docs" / page).read_text().partition(f"\n{heading}\n")[2]
    assert text, f"{page} has no heading {heading}"
    level = heading.partition(" ")[0]
    section = re.split(rf"^{level} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))


def instruments() -> Iterator[str]:
    """Yield the metrics that the code makes, as Prometheus shows them."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for kind, name in INSTRUMENT.findall(file.read_text()):
                yield f"{name}_total" if kind in COUNTERS else name


def test_access_lists_every_scope() -> None:
    listed = re.findall(r"`([a-z:]+)`", first_cells("access.md", "### Scopes"))

    assert set(listed) == set(scopes.SCOPES)


def test_command_line_lists_every_command() -> None:
    listed = re.findall(r"`([a-z-]+)", first_cells("command-line.md", "## Reference"))

    assert set(main.COMMANDS) <= set(listed)


def test_production_lists_every_metric() -> None:
    listed = re.findall(r"`(saga_\w+)`", first_cells("production.md", "## Metrics"))

    assert set(listed) == set(instruments())
