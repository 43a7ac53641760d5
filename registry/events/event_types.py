"""The types of the registry's events: the shape of the data, which constructors fill and the schema shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True)
class EventType:
    """One type of event; ``data`` is a TypedDict, its name that of the schema."""

    name: str
    data: type
    meaning: str


class RegisteredData(TypedDict):
    instance_id: str
    service_url: str
    version: str | None
    capabilities: list[str]


class DeregisteredData(TypedDict):
    instances: list[str]
    reason: str | None


class ExpiredData(TypedDict):
    instance_id: str
    last_heartbeat: str


class TakenOverData(TypedDict):
    account: str
    dropped_subscriptions: list[str]


class SuspectData(TypedDict):
    instance_id: str


class MissedHeartbeatsData(TypedDict):
    consecutive_misses: int


class RecoveredData(TypedDict):
    instance_id: str | None


class VersionChangedData(TypedDict):
    old_version: str | None
    new_version: str
    instance_id: str | None


class ServiceApprovedData(TypedDict):
    by: str


class ServiceRejectedData(TypedDict):
    by: str
    reason: str


class MaintenanceData(TypedDict):
    instance_id: str | None
    by: str
    reason: str | None


class HealthChangedData(TypedDict):
    instance_id: str | None
    old: str
    new: str
    note: str | None


class CheckChangedData(TypedDict):
    check: str
    instance_id: str
    old: str
    new: str
    reason: str | None


class CertificateExpiresData(TypedDict):
    check: str
    instance_id: str
    expires_at: str


class ProtectionBeganData(TypedDict):
    suspects: int
    instances: int


class ProtectionEndedData(TypedDict):
    instances: int


class TokenExpiresData(TypedDict):
    account: str
    name: str | None
    prefix: str
    expires_at: str


class SagaProblemData(TypedDict):
    check: str
    message: str


class SagaRecoveredData(TypedDict):
    check: str


TYPES = (
    EventType("service.registered", RegisteredData, "An instance registered."),
    EventType("service.deregistered", DeregisteredData, "Instances, or the service, left."),
    EventType("service.expired", ExpiredData, "An instance sent no heartbeat in its time."),
    EventType("service.taken_over", TakenOverData, "An account owns a service that had no owner."),
    EventType(
        "service.suspect", SuspectData, "An instance is overdue and held back from expiring."
    ),
    EventType("service.degraded", MissedHeartbeatsData, "Heartbeats were missed."),
    EventType("service.unreachable", MissedHeartbeatsData, "Many heartbeats were missed."),
    EventType("service.recovered", RecoveredData, "Heartbeats arrive again."),
    EventType("service.version_changed", VersionChangedData, "Another version runs."),
    EventType("service.approved", ServiceApprovedData, "Staff approved a service."),
    EventType("service.rejected", ServiceRejectedData, "Staff rejected a service."),
    EventType("service.maintenance_began", MaintenanceData, "Staff took it out of the lookups."),
    EventType("service.maintenance_ended", MaintenanceData, "It is in the lookups again."),
    EventType("health.changed", HealthChangedData, "The health of an instance changed."),
    EventType("check.failed", CheckChangedData, "A health check of an instance fails."),
    EventType("check.recovered", CheckChangedData, "A health check passes again."),
    EventType(
        "check.certificate_expires",
        CertificateExpiresData,
        "The certificate of an instance ends soon.",
    ),
    EventType("protection.began", ProtectionBeganData, "Too many instances are overdue at once."),
    EventType("protection.ended", ProtectionEndedData, "No instance is held back any more."),
    EventType("token.expires", TokenExpiresData, "A token ends within two weeks."),
    EventType("saga.degraded", SagaProblemData, "A check of `/health` is degraded."),
    EventType("saga.unhealthy", SagaProblemData, "A check of `/health` is unhealthy."),
    EventType("saga.recovered", SagaRecoveredData, "A check of `/health` is well again."),
)
