"""Is the new version fit? Asked of the instance itself, of the registry, and of a metric."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson

from registry import directory
from saga_project.shared import errors, http_client
from updates.artifacts import health
from updates.models import Target
from updates.rollouts.agents import orders, serving
from updates.step_context import Inconclusive, Outcome, StepContext, StepFailed

METRIC_INTERVAL_SECONDS = 5.0


def check(
    context: StepContext,
    *,
    since: dt.datetime,
    wait: Callable[[float], None],
    has_metric: bool = True,
) -> Outcome:
    """Wait until every gate of the target is open; raises StepFailed once the healthy deadline is over."""
    target = context.target
    deadline_at = time.monotonic() + min(target.healthy_deadline_seconds, context.deadline_seconds)
    passed = []
    if target.health_url:
        passed.append(_wait_for_health(target, deadline_at, wait, context.report))
    if target.is_registry_gate:
        passed.append(_wait_for_registry(context, since, deadline_at, wait))
    if target.metric_query and has_metric:
        passed.append(_wait_for_metric(target, deadline_at, wait))
    return Outcome(message=" ".join(passed) or "No gate is set.", is_skipped=not passed)


def _wait_for_health(
    target: Target,
    deadline_at: float,
    wait: Callable[[float], None],
    report: Callable[[int, str], None],
) -> str:
    in_a_row = 0
    healthy_since = time.monotonic()
    while True:
        fault = probe(target)
        in_a_row = in_a_row + 1 if fault is None else 0
        if in_a_row == 1:
            healthy_since = time.monotonic()
        is_long_enough = time.monotonic() - healthy_since >= target.min_healthy_seconds
        if in_a_row >= target.health_successes and is_long_enough:
            return f"Healthy {in_a_row} times in a row." if in_a_row > 1 else "Healthy."
        if time.monotonic() > deadline_at:
            raise StepFailed(f"Not healthy in time: {fault or 'not for long enough'}.")
        report(min(99, in_a_row * 100 // target.health_successes), fault or "healthy")
        wait(target.health_interval_seconds)


def probe(target: Target) -> str | None:
    """Return why the health URL does not vouch for the instance, None if it does; asked from its node."""
    if serving.is_agent(target.node):
        return orders.probe(target.node, target.health_url)
    return health.probe(target.health_url)


def _wait_for_registry(
    context: StepContext, since: dt.datetime, deadline_at: float, wait: Callable[[float], None]
) -> str:
    while True:
        try:
            fault = _registry_fault(context, since)
            if fault is None:
                return f"It sends heartbeats, passing, with version {context.version}."
            if time.monotonic() > deadline_at:
                raise StepFailed(f"The registry did not see it in time: {fault}.")
        except errors.Unavailable as exc:
            if time.monotonic() > deadline_at:
                raise Inconclusive(f"The registry cannot say: {exc.message}") from exc
        wait(context.target.health_interval_seconds)


def _registry_fault(context: StepContext, since: dt.datetime) -> str | None:
    """Return why the registry does not vouch for the instance, None if it does."""
    instance_id = context.target.instance_id
    entry = directory.find(context.service_name)
    instance = entry.instances.get(instance_id) if entry else None
    if instance is None:
        return f"instance {instance_id} is not registered"
    if instance.last_heartbeat_at <= since:
        return f"instance {instance_id} has not beaten since"
    if instance.health != "passing":
        return f"instance {instance_id} says that it is {instance.health}"
    if instance.version != context.version:
        return f"instance {instance_id} reports version {instance.version or 'none'}"
    return None


# --- Metrics ----------------------------------------------------------------------------------------


def _wait_for_metric(target: Target, deadline_at: float, wait: Callable[[float], None]) -> str:
    """Wait for enough samples; whether they are good is not waited for."""
    while True:
        try:
            return measure(target)
        except Inconclusive:
            if time.monotonic() > deadline_at:
                raise
        wait(METRIC_INTERVAL_SECONDS)


def measure(target: Target) -> str:
    """Evaluate the metric now; raises StepFailed if out of range, Inconclusive if inconclusive."""
    if target.metric_samples_query:
        samples = _query(target, target.metric_samples_query)
        if samples < target.metric_min_samples:
            raise Inconclusive(
                f"Too few samples to decide: {samples:g} of {target.metric_min_samples}."
            )
    value = _query(target, target.metric_query)
    if target.metric_maximum is not None and value > target.metric_maximum:
        raise StepFailed(f"The metric is {value:g}, more than {target.metric_maximum:g}.")
    if target.metric_minimum is not None and value < target.metric_minimum:
        raise StepFailed(f"The metric is {value:g}, less than {target.metric_minimum:g}.")
    return f"The metric is {value:g}."


def _query(target: Target, query: str) -> float:
    """Ask Prometheus; an answer that is not one finite number is inconclusive."""
    url = f"{target.metric_url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer = http_client.request(
            "GET", url, purpose="metric", timeout_seconds=health.PROBE_TIMEOUT_SECONDS
        )
        document = orjson.loads(answer.body)
        value = float(_first_value(document["data"]))
    except errors.SagaError as exc:
        raise Inconclusive(exc.message) from exc
    except (ValueError, KeyError, IndexError, TypeError) as exc:
        raise Inconclusive("The metric has no value.") from exc
    if not math.isfinite(value):
        raise Inconclusive("The metric has no value.")
    return value


def _first_value(data: dict[str, Any]) -> str:
    """Return the value of a scalar, or of the first element of a vector."""
    result = data["result"]
    pair = result if data["resultType"] == "scalar" else result[0]["value"]
    return str(pair[1])
