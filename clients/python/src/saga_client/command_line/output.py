"""Documents as JSON, YAML or aligned columns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import click
import yaml

GOOD = {"passing", "healthy", "succeeded", "success", "connected", "active", "approved"}
BAD = {"critical", "unhealthy", "failed", "disconnected", "rejected", "dead", "rolled_back"}
WAITING = {"warning", "degraded", "paused", "queued", "running", "pending", "suspect"}
MAX_CELL = 60


def rendered(document: Any, *, style: str, rows: str, columns: Sequence[str]) -> str:
    """Return the document in a style: json, yaml or table."""
    if style == "json":
        return json.dumps(document, indent=2, ensure_ascii=False)
    if style == "yaml":
        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip()
    if rows and isinstance(document, dict) and isinstance(document.get(rows), list):
        return table(document[rows], columns=columns)
    if isinstance(document, list):
        return table(document, columns=columns)
    if isinstance(document, dict):
        return pairs(document)
    return "" if document is None else str(document)


def pairs(document: dict[str, Any], *, indent: str = "") -> str:
    """Return one line for each key; a table in it is indented."""
    width = max((len(key) for key in document), default=0)
    lines = []
    for key, value in document.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}", pairs(value, indent=f"{indent}  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inner = table(value, columns=()).splitlines()
            lines += [f"{indent}{key}", *(f"{indent}  {line}" for line in inner)]
        else:
            lines.append(f"{indent}{key.ljust(width)}  {_colored(_text(value))}")
    return "\n".join(lines)


def table(rows: Sequence[Any], *, columns: Sequence[str]) -> str:
    """Return aligned columns under their names; without rows a sentence."""
    if not rows:
        return "Nothing to show."
    if not isinstance(rows[0], dict):
        return "\n".join(_text(row) for row in rows)
    names = list(columns) or list(rows[0])
    cells = [[_cut(_text(row.get(name))) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(names))]
    head = "  ".join(name.upper().ljust(width) for name, width in zip(names, widths))
    lines = [click.style(head.rstrip(), bold=True)]
    for line in cells:
        padded = [_colored(cell) + " " * (width - len(cell)) for cell, width in zip(line, widths)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, (str, int, float)) for each in value):
        return ", ".join(str(each) for each in value) or "-"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False) if value else "-"
    # What an answer holds must not steer the terminal.
    return "".join(each if each.isprintable() else "\ufffd" for each in str(value))


def _cut(text: str) -> str:
    limit = max(MAX_CELL, shutil.get_terminal_size((100, 24)).columns // 3)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _colored(text: str) -> str:
    for words, color in ((GOOD, "green"), (BAD, "red"), (WAITING, "yellow")):
        if text in words:
            return str(click.style(text, fg=color))
    return text
