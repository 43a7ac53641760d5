"""A job on a terminal: one line for each target, drawn anew with each change."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click

from saga_client.models import Job

BAR = 24
MARKS = {"succeeded": "✓", "skipped": "✓", "failed": "✗", "running": "…"}
COLORS = {"succeeded": "green", "skipped": "green", "failed": "red", "running": "yellow"}
#: Steps of all targets that a reader waits for: pauses, and the watch before the end.
GATES = {"pause", "hold", "bake", "swap", "share"}


class Board:
    """Redraws its lines in place; ``done`` leaves the last ones."""

    def __init__(self) -> None:
        self._height = 0

    def draw(self, lines: list[str]) -> None:
        """Replace what was drawn before."""
        width, height = shutil.get_terminal_size((100, 24))
        shown = [_cut(line, width - 1) for line in lines[: max(3, height - 2)]]
        up = f"\x1b[{self._height}A" if self._height else ""
        sys.stdout.write(f"{up}\r\x1b[J")  # click would drop it together with the colors
        click.echo("\n".join(shown))
        self._height = len(shown)


def is_possible() -> bool:
    """Return whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and sys.platform != "win32"


def lines_of(job: Job) -> list[str]:
    """Return the whole display: progress, the targets in their order, gates and metrics."""
    filled = BAR * job.progress // 100
    bar = "█" * filled + "░" * (BAR - filled)
    head = f"{job.service_name} {job.version}  {bar}  {job.progress:>3} %  {job.status}"
    return [head, *_steps(job), *_metrics(job)]


def _steps(job: Job) -> Iterator[str]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for number, step in enumerate(job.steps):
        is_gate = step["target"] is None and step["name"] in GATES
        groups.setdefault(step["target"] or (f" {number}" if is_gate else ""), []).append(step)
    width = max([len(name) for name in groups] + [8])
    for name, steps in groups.items():
        ended = sum(step["status"] in {"succeeded", "skipped", "failed"} for step in steps)
        step = _current(steps)
        label = name if name.strip() and not name.startswith(" ") else "all"
        yield _line(label.ljust(width), step, f"{ended}/{len(steps)}")


def _current(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the step that says most: one that runs, the last that failed, or the last that ended."""
    running = [step for step in steps if step["status"] == "running"]
    ended = [step for step in steps if step["status"] not in {"pending", "running"}]
    return (running or ended[-1:] or steps[:1])[0]


def _line(label: str, step: dict[str, Any], count: str) -> str:
    status = step["status"]
    mark = MARKS.get(status, "·")
    text = f"  {mark} {label}  {count:>5}  {step['name']}"
    message = "".join(each if each.isprintable() else " " for each in step["message"] or "")
    text = f"{text}: {message}" if message and status != "pending" else text
    return str(click.style(text, fg=COLORS.get(status)))


def _metrics(job: Job) -> Iterator[str]:
    for metric in job.document.get("metrics") or []:
        good = {True: "succeeded", False: "failed"}.get(metric["is_good"], "pending")
        step = {"status": good, "name": metric["name"], "message": metric["message"]}
        yield _line("metric  ", step, "")


def _cut(text: str, width: int) -> str:
    plain = click.unstyle(text)
    if len(plain) <= width:
        return text
    color = text[: len(text) - len(text.lstrip("\x1b[0123456789;m"))] if text != plain else ""
    return f"{color}{plain[: max(1, width - 1)]}…" + ("\x1b[0m" if color else "")
