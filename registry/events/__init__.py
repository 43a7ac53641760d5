"""Events: constructors, the log and its readers."""

from registry.events.constructors import (
    Fact,
    health_changed,
    publish,
    published,
    rows_of,
    service_approved,
    service_degraded,
    service_deregistered,
    service_expired,
    service_recovered,
    service_registered,
    service_rejected,
    service_suspect,
    service_taken_over,
    service_unreachable,
    service_version_changed,
)

__all__ = [
    "Fact",
    "health_changed",
    "publish",
    "published",
    "rows_of",
    "service_approved",
    "service_degraded",
    "service_deregistered",
    "service_expired",
    "service_recovered",
    "service_registered",
    "service_rejected",
    "service_suspect",
    "service_taken_over",
    "service_unreachable",
    "service_version_changed",
]
