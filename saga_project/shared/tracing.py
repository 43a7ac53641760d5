"""OpenTelemetry, where its packages are installed (the extra ``otel``) and its own variables ask for it."""

from __future__ import annotations

import functools
import os

try:
    from opentelemetry.instrumentation import auto_instrumentation
except ImportError:  # the extra is not installed
    auto_instrumentation = None

ASKED_BY = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
#: Traces only: figures are Prometheus', lines are the log's.
DEFAULTS = {
    "OTEL_SERVICE_NAME": "saga",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


def is_wanted() -> bool:
    return auto_instrumentation is not None and any(os.environ.get(name) for name in ASKED_BY)


@functools.cache
def begin() -> bool:
    """Trace Django, Celery, PostgreSQL and Redis in this process, from now on; says whether it does.

    Called before Django is set up: the instrumentation adds a middleware of its own.
    """
    if not is_wanted():
        return False
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    auto_instrumentation.initialize()
    return True
