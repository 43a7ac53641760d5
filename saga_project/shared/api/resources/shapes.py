"""Bodies of resources: the JSON types that they name, and no field that they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from rest_framework import serializers

from saga_project.shared.api import fields


class SwitchField(serializers.BooleanField):
    """True or false, and nothing that could be read as one of them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictShape(serializers.Serializer[Any]):
    """Refuses fields that it does not know, that are read-only, or that a change may not name."""

    #: Fields that are set when the row is made and stay.
    fixed: ClassVar[tuple[str, ...]] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            faults = {name: [fault] for name in data if (fault := self._fault(name))}
            if faults:
                raise serializers.ValidationError(faults)
        return super().to_internal_value(data)

    def _fault(self, name: str) -> str:
        known = self.fields.get(name)
        if known is None:
            writable = sorted(each for each, field in self.fields.items() if not field.read_only)
            return f"There is no such field; there are {', '.join(writable)}."
        if known.read_only:
            return "This field is read-only."
        if self.partial and name in self.fixed:
            return "This is set once: make another one instead."
        return ""


class RowShape(StrictShape, serializers.ModelSerializer[Any]):
    """The same for a model's rows; uniqueness is the operation's to check."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: fields.TextField,
        models.TextField: fields.TextField,
        models.BooleanField: SwitchField,
        models.IntegerField: fields.WholeField,
        models.PositiveIntegerField: fields.WholeField,
        models.PositiveSmallIntegerField: fields.WholeField,
        models.FloatField: fields.NumberField,
        models.DateTimeField: fields.TimeField,
    }

    def get_validators(self) -> list[Any]:
        return []

    def build_standard_field(self, field_name: str, model_field: Any) -> Any:
        made, options = super().build_standard_field(field_name, model_field)
        # Rules of the model are checked by the operation, which the admin calls as well.
        own = [
            each for each in options.get("validators", []) if not callable(each) or _is_bound(each)
        ]
        if "validators" in options:
            options["validators"] = own
        return made, options


def _is_bound(validator: Any) -> bool:
    """Whether it is a bound of a number or of a text's length."""
    return hasattr(validator, "limit_value")
