"""Pure: the metrics of a policy as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.models import MAX_NAME_LENGTH
from saga_project.shared import errors, http_client

PROMETHEUS, HTTP, SAGA = "prometheus", "http", "saga"
#: Of the live instances that run the new version.
FIGURES = ("live_instances", "passing_instances", "critical_instances", "passing_percent")
MAX_METRICS = 20
MAX_SECONDS = 86_400


class InvalidMetrics(ValueError):
    """The metrics make no sense; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that must stay within its bounds.

    ``query`` is PromQL, a JSON pointer or the name of a figure, by source; ``samples`` likewise says how many
    observations the number stands on. Times are in seconds.
    """

    name: str
    source: str
    url: str = ""
    query: str = ""
    samples: str = ""
    min_samples: int = 0
    minimum: float | None = None
    maximum: float | None = None
    consecutive: int = 1
    initial_delay: int = 0
    interval: int = 5
    is_dry_run: bool = False


_QUERY_KEYS = {PROMETHEUS: "query", HTTP: "pointer", SAGA: "figure"}
_KEYS = {
    "name",
    "source",
    "url",
    "samples",
    "min_samples",
    "minimum",
    "maximum",
    "consecutive",
    "initial_delay",
    "interval",
    "dry_run",
}


def read(raw: Any) -> tuple[Metric, ...]:
    """Return the metrics that a policy spells out; raises InvalidMetrics."""
    if not isinstance(raw, list) or len(raw) > MAX_METRICS:
        raise InvalidMetrics(f"Metrics are a list of at most {MAX_METRICS} objects.")
    metrics = tuple(_read_one(item) for item in raw)
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        raise InvalidMetrics("Each metric has a name of its own.")
    return metrics


def _read_one(item: Any) -> Metric:
    if not isinstance(item, dict):
        raise InvalidMetrics("A metric is an object with name, source and bounds.")
    name, source = item.get("name"), item.get("source", PROMETHEUS)
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidMetrics("A metric has a name.")
    if source not in _QUERY_KEYS:
        raise InvalidMetrics(f"source of {name!r} is one of {', '.join(_QUERY_KEYS)}.")
    if unknown := sorted(set(item) - _KEYS - {_QUERY_KEYS[source]}):
        raise InvalidMetrics(f"Metric {name!r} has an unknown key {unknown[0]!r}.")
    metric = Metric(
        name=name,
        source=source,
        url=_read_url(item, source),
        query=_read_query(item, _QUERY_KEYS[source], source),
        samples=_read_text(item, "samples"),
        min_samples=_read_number(item, "min_samples", 0, 0, 10**9),
        minimum=_read_bound(item, "minimum"),
        maximum=_read_bound(item, "maximum"),
        consecutive=_read_number(item, "consecutive", 1, 1, 100),
        initial_delay=_read_number(item, "initial_delay", 0, 0, MAX_SECONDS),
        interval=_read_number(item, "interval", 5, 1, 3600),
        is_dry_run=_read_flag(item, "dry_run"),
    )
    _check_bounds(metric)
    return metric


def _check_bounds(metric: Metric) -> None:
    low, high = metric.minimum, metric.maximum
    if low is None and high is None:
        raise InvalidMetrics(f"Metric {metric.name!r} needs a minimum or a maximum.")
    if low is not None and high is not None and low > high:
        raise InvalidMetrics(f"The minimum of {metric.name!r} is above its maximum.")
    if metric.min_samples and not metric.samples and metric.source != SAGA:
        raise InvalidMetrics(f"min_samples of {metric.name!r} needs samples, which counts them.")


def _read_url(item: Mapping[str, Any], source: str) -> str:
    url = _read_text(item, "url")
    if source == SAGA:
        return ""
    try:
        http_client.check_url(url)
    except errors.SagaError as exc:
        raise InvalidMetrics(f"url of {item['name']!r}: {exc.message}") from exc
    return url


def _read_query(item: Mapping[str, Any], key: str, source: str) -> str:
    query = _read_text(item, key)
    is_right = bool(query)
    if source == SAGA:
        is_right = query in FIGURES
    if source == HTTP:
        is_right = is_pointer(query)
    if not is_right:
        known = f" ({', '.join(FIGURES)})" if source == SAGA else ""
        raise InvalidMetrics(f"Metric {item['name']!r} needs a {key}{known}.")
    return query


def is_pointer(text: str) -> bool:
    """Whether the text is a JSON pointer (RFC 6901) to something within a document."""
    return re.fullmatch(r"(?:/(?:[^~/]|~[01])*)+", text) is not None


def _read_text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key) or ""
    if not isinstance(value, str) or len(value) > 2048:
        raise InvalidMetrics(f"{key} of {item['name']!r} is a text.")
    return value


def _read_number(item: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = item.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidMetrics(f"{key} of {item['name']!r} is a whole number from {low} to {high}.")
    return value


def _read_bound(item: Mapping[str, Any], key: str) -> float | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidMetrics(f"{key} of {item['name']!r} is a number.")
    return float(value)


def _read_flag(item: Mapping[str, Any], key: str) -> bool:
    value = item.get(key, False)
    if not isinstance(value, bool):
        raise InvalidMetrics(f"{key} of {item['name']!r} is true or false.")
    return value
