"""Fields that take the JSON type they name and nothing that merely could be read as one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from saga_project.shared import api


class TextField(serializers.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class WholeField(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class NumberField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class TimeField(serializers.DateTimeField):
    """An RFC 3339 time; without an offset it is UTC."""

    def to_internal_value(self, value: Any) -> dt.datetime:
        moment = api.parse_time(value) if isinstance(value, str) else None
        if moment is None:
            self.fail("invalid", format="RFC 3339")
        return moment


def warnings_field() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="What of the heartbeat was ignored; absent where nothing was.",
    )


def given(body: Any) -> dict[str, Any]:
    """Return what a body says; ``null`` is the same as absent."""
    return {key: value for key, value in body.items() if value is not None}


def parameter(
    name: str, description: str, *, choices: Sequence[str] | None = None, kind: Any = str
) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description, enum=choices)


PAGE = (
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
    OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
)


class FlagField(serializers.BooleanField):
    """True or false, and nothing that could be read as one of them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **kwargs})

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data
