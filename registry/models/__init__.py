"""The registry's durable rows; live instances are in Redis (``registry.presence``)."""

from registry.models.account import CallersRevision, ServiceAccount, Token
from registry.models.encryption_key import EncryptionKey
from registry.models.ended_login import EndedLogin
from registry.models.event import Event, EventHorizon
from registry.models.health_check import (
    CheckedInstance,
    Checker,
    CheckTransition,
    CheckVerdict,
    HealthCheck,
)
from registry.models.idempotency_key import IdempotencyKey
from registry.models.lengths import MAX_NAME_LENGTH, MAX_URL_LENGTH
from registry.models.managed_object import (
    MAX_MANAGER_LENGTH,
    ManagedObject,
    manager_of,
    mark_column,
)
from registry.models.selecting import Selecting, selected_keys
from registry.models.service import Instance, Service, ServiceQuerySet
from registry.models.subscription import Subscription, SubscriptionQuerySet
from registry.models.work_slot import WorkSlot

__all__ = [
    "MAX_MANAGER_LENGTH",
    "MAX_NAME_LENGTH",
    "MAX_URL_LENGTH",
    "CallersRevision",
    "CheckTransition",
    "CheckVerdict",
    "CheckedInstance",
    "Checker",
    "EncryptionKey",
    "EndedLogin",
    "Event",
    "EventHorizon",
    "HealthCheck",
    "IdempotencyKey",
    "Instance",
    "ManagedObject",
    "Selecting",
    "Service",
    "ServiceAccount",
    "ServiceQuerySet",
    "Subscription",
    "SubscriptionQuerySet",
    "Token",
    "WorkSlot",
    "manager_of",
    "mark_column",
    "selected_keys",
]
