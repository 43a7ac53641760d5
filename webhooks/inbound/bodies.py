"""What the bodies of several webhook routes have in common: fields, shapes, and how they are read."""

from __future__ import annotations

import datetime as dt
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

import updates.operations
from registry import names
from saga_project.shared import api, rules
from saga_project.shared.api.fields import NameField, TextField, VersionField, WholeField
from saga_project.shared.errors import InvalidRequest
from updates.models import Release

Data = dict[str, Any]
ANNOUNCED = (
    "version",
    "artifact_url",
    "artifact_type",
    "checksum",
    "signature",
    "notes",
    "channel",
    "published_at",
)


#: For the OpenAPI document; ``updates.operations`` checks it.
CHECKSUM = rules.PatternRule(
    pattern="[ -~]{0,256}", message="'checksum' has at most 256 characters."
)


class OptionalTextField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **kwargs})


class DetailsField(serializers.DictField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)


class NamedShape(serializers.Serializer[Any]):
    service_name = NameField()


class SecretShape(NamedShape):
    webhook_secret = OptionalTextField(
        allow_blank=True, help_text="The secret itself, instead of a signature."
    )


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[Any, Any, Any, Any]):
    """An RFC 3339 time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> dt.datetime:
        moment = api.parse_time(data) if isinstance(data, str) and len(data) <= 64 else None
        if moment is None:
            raise serializers.ValidationError("Must be an RFC 3339 time.")
        return moment


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(OptionalTextField):
    """The text of an RFC 3339 time, which the route reads."""


class SizeField(WholeField):
    def __init__(self, **kwargs: Any) -> None:
        optional: dict[str, Any] = {"required": False, "allow_null": True}
        super().__init__(**{**optional, "min_value": 0, "max_value": 2**62, **kwargs})


class ReleaseShape(SecretShape):
    """The optional fields of a release in ``update`` and ``deploy``."""

    version = VersionField()
    artifact_type = OptionalTextField(
        rule=rules.ChoiceRule(choices=Release.ArtifactType.values), allow_blank=False
    )
    checksum = OptionalTextField(rule=CHECKSUM)
    size = SizeField(help_text="Of the artifact, in bytes.")
    signature = OptionalTextField(
        allow_blank=True,
        max_length=4096,
        help_text="minisign's, of the statement about the artifact.",
    )
    notes = OptionalTextField(allow_blank=True, max_length=65_536)
    channel = OptionalTextField(allow_blank=True, max_length=64)
    published_at = MomentField(help_text="From here a policy's minimum age counts.")


def announcement(data: dict[str, Any]) -> updates.operations.Announcement:
    """Return the release that a body with the fields of ``ReleaseShape`` describes."""
    known = {key: data[key] for key in ANNOUNCED if key in data}
    return updates.operations.Announcement(size_bytes=data.get("size"), **known)


def service_name(document: dict[str, Any]) -> str:
    """Return the name of the service in a body; raises InvalidRequest."""
    name = document.get("service_name")
    if name is None:
        raise InvalidRequest("service_name: This field is required.", field="service_name")
    return checked_name(name)


def checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidRequest("service_name: Not a valid string.", field="service_name")
    return names.check_service_name(name)


def read(shape: type[serializers.Serializer[Any]], document: dict[str, Any] | None) -> Data:
    """Return the fields of a body, without those that are null; raises InvalidRequest."""
    body = shape(data=document or {})
    try:
        body.is_valid(raise_exception=True)
    except serializers.ValidationError as exc:
        raise api.invalid_fields(exc) from exc
    return {key: value for key, value in body.validated_data.items() if value is not None}
