"""The shapes of the bodies that the webhook routes take."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rest_framework import serializers

from saga_project.shared import api
from saga_project.shared.api.fields import FlagField, TextField
from webhooks.outbound.channels.notification import SEVERITIES

HEALTH_STATUSES = ("healthy", "degraded", "unhealthy")
LIFECYCLE_EVENTS = (
    "starting",
    "started",
    "stopping",
    "stopped",
    "restarting",
    "restarted",
    "crashed",
    "deployed",
)
MAX_MESSAGE_LENGTH = 65_536


class OptionalTextField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **kwargs})


class DetailsField(serializers.DictField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)


class NamedShape(serializers.Serializer[Any]):
    service_name = TextField(allow_blank=True)


class SecretShape(NamedShape):
    webhook_secret = OptionalTextField(
        allow_blank=True, help_text="The secret itself, instead of a signature."
    )


class MomentField(serializers.Field[Any, Any, Any, Any]):
    """An RFC 3339 time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> dt.datetime:
        moment = api.parse_time(data) if isinstance(data, str) and len(data) <= 64 else None
        if moment is None:
            raise serializers.ValidationError("Must be an RFC 3339 time.")
        return moment


class SizeField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        optional: dict[str, Any] = {"required": False, "allow_null": True}
        super().__init__(**{**optional, "min_value": 0, "max_value": 2**62, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class ReleaseShape(SecretShape):
    """The optional fields of a release in ``update`` and ``deploy``."""

    version = TextField(allow_blank=True)
    artifact_type = OptionalTextField()
    checksum = OptionalTextField(allow_blank=True)
    size = SizeField(help_text="Of the artifact, in bytes.")
    signature = OptionalTextField(
        allow_blank=True,
        max_length=4096,
        help_text="minisign's, of the statement about the artifact.",
    )
    notes = OptionalTextField(allow_blank=True, max_length=65_536)
    channel = OptionalTextField(allow_blank=True, max_length=64)
    published_at = MomentField(help_text="From here a policy's minimum age counts.")


class UpdateShape(ReleaseShape):
    artifact_url = TextField()


class CheckShape(NamedShape):
    pass


class HealthShape(SecretShape):
    status = serializers.ChoiceField(choices=HEALTH_STATUSES)
    timestamp = OptionalTextField()
    details = DetailsField()


class LifecycleShape(SecretShape):
    event = serializers.ChoiceField(choices=LIFECYCLE_EVENTS)
    timestamp = OptionalTextField()
    details = DetailsField()


class OverrideReasonField(OptionalTextField):
    def __init__(self) -> None:
        super().__init__(
            max_length=1000,
            help_text="Despite freezes, windows, quarantine and the second person; takes admin:registry.",
        )


class JobDetailsShape(serializers.Serializer[Any]):
    """What ``deploy`` and ``rollback`` may say of the targets and the way."""

    strategy_options = serializers.DictField(
        required=False, allow_null=True, help_text="Instead of those of the service's policy."
    )
    targets = serializers.ListField(
        child=TextField(max_length=128),
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="Names of the service's targets; absent: all.",
    )
    labels = serializers.DictField(
        child=TextField(max_length=256),
        required=False,
        allow_null=True,
        help_text="Only targets that have each of these labels.",
    )


class DeployShape(JobDetailsShape, ReleaseShape):
    artifact_url = OptionalTextField(allow_blank=True)
    strategy = OptionalTextField()
    force = FlagField(help_text="Deploy a quarantined release; needs a reason.")
    reason = OptionalTextField(max_length=1000)
    override_reason = OverrideReasonField()


class RollbackShape(JobDetailsShape, SecretShape):
    version = OptionalTextField(allow_blank=True)
    fast = FlagField(
        help_text="All targets at once, without drains, metrics and the watch at the end."
    )
    force = FlagField(help_text="Restore a quarantined release; needs a reason.")
    reason = OptionalTextField(max_length=1000)
    override_reason = OverrideReasonField()


class NotifyShape(NamedShape):
    channel = TextField()
    message = TextField(max_length=MAX_MESSAGE_LENGTH)
    severity = serializers.ChoiceField(choices=SEVERITIES, required=False, allow_null=True)


class ConfigShape(serializers.Serializer[Any]):
    service_name = OptionalTextField(help_text="Absent for the global configuration.")
    endpoints = serializers.DictField(
        child=TextField(),
        required=False,
        allow_null=True,
        help_text="Channel to URL; replaces the whole map.",
    )
    secret = OptionalTextField(help_text="At least 16 bytes. Kept when absent, removed when null.")
    require_timestamp = FlagField(
        help_text="Count only the timestamped signatures of Standard Webhooks."
    )
    accept_global_secret = FlagField(
        help_text="Let the global secret sign for a service that an account owns; takes admin:registry."
    )


SHAPES: dict[str, type[serializers.Serializer[Any]]] = {
    "update": UpdateShape,
    "check-updates": CheckShape,
    "health": HealthShape,
    "lifecycle": LifecycleShape,
    "deploy": DeployShape,
    "rollback": RollbackShape,
    "notify": NotifyShape,
    "config": ConfigShape,
}


def read(route: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a body, without those that are null; raises InvalidRequest."""
    shape = SHAPES[route](data=document)
    try:
        shape.is_valid(raise_exception=True)
    except serializers.ValidationError as exc:
        raise api.invalid_fields(exc) from exc
    return {key: value for key, value in shape.validated_data.items() if value is not None}
