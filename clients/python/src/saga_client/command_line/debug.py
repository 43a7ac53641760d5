"""``saga debug``: what Saga says of its Redis, of its cache and of its work, out of /health and /metrics."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}

Samples = list[tuple[str, dict[str, str], float]]


@click.group(cls=structure.Group)
def debug() -> None:
    """Look into Saga: its Redis, its cache, its figures."""


@debug.command()
def redis(session: Session) -> None:
    """Show how Redis is, what waits in its queues, and how late the sweep for expired instances is."""
    health, samples = session.saga.health(), _samples(session)
    session.show(
        {
            "redis": health["redis"],
            "protection": health["protection"],
            "queues": _by_label(samples, "saga_queue_depth", "queue"),
            "workers_silent_seconds": _by_label(samples, "saga_worker_silent_seconds", "worker"),
        }
    )


@debug.command()
def cache(session: Session) -> None:
    """Show what the web processes have in memory, and how many lookups it answered."""
    health, samples = session.saga.health(), _samples(session)
    session.show(
        {
            **health["cache"],
            "is_coherent": bool(_one(samples, "saga_cache_coherent")),
            "web_processes": _one(samples, "saga_web_processes"),
            "fast_path_answers": _by_label(samples, "saga_fast_path_answers_total", "route"),
        }
    )


@debug.command()
@click.option("--all", "is_everything", is_flag=True, help="Each figure of /metrics.")
def stats(session: Session, is_everything: bool) -> None:
    """Show how much there is and how much was done since the start of the processes."""
    samples = _samples(session)
    if is_everything:
        rows = [
            {"name": name, "labels": _rendered(labels), "value": _number(value)}
            for name, labels, value in samples
        ]
        session.show({"figures": rows}, rows="figures", columns="name labels value")
        return
    session.show(
        {
            "services": _one(samples, "saga_live_services"),
            "instances": _one(samples, "saga_live_instances"),
            "viewers": _by_label(samples, "saga_viewers", "kind"),
            "requests": _by_label(samples, "saga_http_requests_total", "status"),
            "tasks": _by_label(samples, "saga_tasks_total", "task"),
            "jobs": _by_label(samples, "saga_jobs", "status"),
            "deliveries": _by_label(samples, "saga_deliveries", "status"),
            "delivery_attempts": _by_label(samples, "saga_delivery_attempts_total", "fate"),
            "instances_expired": _one(samples, "saga_instances_expired_total"),
        }
    )


def _samples(session: Session) -> Samples:
    return parse(session.saga.transport.text("/metrics"))


def parse(text: str) -> Samples:
    """Return the samples of an exposition of Prometheus: name, labels and value."""
    found = []
    for line in text.splitlines():
        match = None if line.startswith("#") else _SAMPLE.fullmatch(line.strip())
        if match:
            labels = {key: _unescaped(value) for key, value in _LABEL.findall(match[2] or "")}
            found.append((match[1], labels, float(match[3])))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r'\\[n"\\]', lambda match: _ESCAPED[match[0]], text)


def _by_label(samples: Samples, name: str, label: str) -> dict[str, Any]:
    """Return the values of a metric by one of its labels, added up over the others."""
    found: dict[str, float] = {}
    for each, labels, value in samples:
        if each == name and label in labels:
            found[labels[label]] = found.get(labels[label], 0.0) + value
    return {key: _number(value) for key, value in sorted(found.items())}


def _one(samples: Samples, name: str) -> Any:
    """Return the value of a metric, added up over its labels; None where Saga has not got it."""
    values = [value for each, _, value in samples if each == name]
    return _number(sum(values)) if values else None


def _number(value: float) -> Any:
    """Return a whole number as one, and what JSON has no number for as a text."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() else round(value, 3)


def _rendered(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())
