"""Where the numbers of metrics come from: Prometheus, a JSON document, or Saga itself."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

import orjson

from registry import directory
from saga_project.shared import errors, http_client
from updates.rollouts.measuring.definitions import PROMETHEUS, SAGA, Metric
from updates.step_context import Inconclusive

TIMEOUT_SECONDS = 5.0


def sample(metric: Metric, *, service_name: str, version: str) -> float:
    """Return the metric's number now; raises Inconclusive where there is none, or it stands on too little."""
    if metric.source == SAGA:
        return _figure(metric, service_name=service_name, version=version)
    filled = {"{service}": service_name, "{version}": version}
    if metric.samples:
        samples = _ask(metric, _fill(metric.samples, filled), filled)
        if samples < metric.min_samples:
            raise Inconclusive(f"Too few samples: {samples:g} of {metric.min_samples}.")
    return _ask(metric, _fill(metric.query, filled), filled)


def _fill(text: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _ask(metric: Metric, query: str, filled: dict[str, str]) -> float:
    url = _fill(metric.url, filled)
    if metric.source == PROMETHEUS:
        url = f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer = http_client.request("GET", url, purpose="metric", timeout_seconds=TIMEOUT_SECONDS)
        document = orjson.loads(answer.body)
        found = (
            _of_prometheus(document) if metric.source == PROMETHEUS else resolve(document, query)
        )
        value = float(found)
    except errors.SagaError as exc:
        raise Inconclusive(exc.message) from exc
    except (ValueError, KeyError, IndexError, TypeError) as exc:
        raise Inconclusive("The metric has no value.") from exc
    if not math.isfinite(value):
        raise Inconclusive("The metric has no value.")
    return value


def _of_prometheus(document: Any) -> Any:
    """Return the value of a scalar, or of the first element of a vector."""
    data = document["data"]
    result = data["result"]
    pair = result if data["resultType"] == "scalar" else result[0]["value"]
    return pair[1]


def resolve(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) points to; raises LookupError or TypeError."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    if isinstance(document, bool):
        raise TypeError("A boolean is no number.")
    return document


def _figure(metric: Metric, *, service_name: str, version: str) -> float:
    try:
        entry = directory.find(service_name)
    except errors.Unavailable as exc:
        raise Inconclusive(exc.message) from exc
    live = entry.live(directory.now_us()) if entry else []
    mine = [row for row in live if row.version == version]
    if len(mine) < metric.min_samples or (metric.query == "passing_percent" and not mine):
        raise Inconclusive(f"Too few instances of {version}: {len(mine)} of {metric.min_samples}.")
    passing = sum(row.health == "passing" for row in mine)
    return {
        "live_instances": float(len(mine)),
        "passing_instances": float(passing),
        "critical_instances": float(sum(row.health == "critical" for row in mine)),
        "passing_percent": passing * 100 / max(1, len(mine)),
    }[metric.query]
