"""Fields that take the JSON type they name and nothing that merely could be read as one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from saga_project.shared import api, labels, rules


class TextField(serializers.CharField):
    """A text, as it stands; with a rule, the rule says what it must be and how the schema shows it.

    The rule is checked by ``checked``, once all fields have the right type. ``or_empty``: the empty text
    is no fault either.
    """

    rule: rules.TextRule | None = None

    def __init__(
        self, *, rule: rules.TextRule | None = None, or_empty: bool = False, **options: Any
    ) -> None:
        self.rule = rule or self.rule
        self.or_empty = or_empty
        has_rule = self.rule is not None
        super().__init__(**{"trim_whitespace": False, "allow_blank": has_rule, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))

    def check(self, text: str, *, name: str) -> None:
        """Raise the rule's error, which names the field, where ``text`` breaks the rule."""
        if self.rule is not None and (text or not self.or_empty):
            self.rule.check(text, field=name)


class NameField(TextField):
    """A service's name."""

    rule = rules.SERVICE_NAME


class InstanceIdField(TextField):
    rule = rules.INSTANCE_ID


class VersionField(TextField):
    rule = rules.VERSION


class UrlField(TextField):
    """An http(s) URL."""

    rule = rules.URL


class CapabilityField(TextField):
    rule = rules.CAPABILITY


class SelectorField(TextField):
    """A selector of labels; null is none. The empty text is refused: it could be read as every service."""

    rule = labels.SELECTOR

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data is None:
            return ""
        text = super().run_validation(data)
        labels.SELECTOR.check(text, field=self.field_name or "selector")
        return text

    def check(self, text: str, *, name: str) -> None:
        """``run_validation`` has checked it, and made a null the empty text."""

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        return str(value) if value else None


class TextFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Shows a text field with the keywords of its rule."""

    target_class = TextField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        field: TextField = self.target
        if field.rule is None:
            plain: dict[str, Any] = auto_schema._map_serializer_field(  # noqa: SLF001 - as its documentation does
                field, direction, bypass_extensions=True
            )
            return {**plain, "type": "string"}  # null is added to what an extension returns
        schema = schema_of(field.rule, or_empty=field.or_empty)
        if field.max_length is not None:
            schema.setdefault("maxLength", field.max_length)
        if field.allow_null and "enum" in schema:
            schema["enum"].append(None)
        return schema


def schema_of(rule: rules.TextRule, *, or_empty: bool = False) -> dict[str, Any]:
    """Return the schema of a text that the rule allows."""
    schema = {"type": "string", **rule.schema()}
    if or_empty:
        schema.pop("format", None)
        begin, end = schema["pattern"].removeprefix("^"), ".*"
        if begin.endswith("$"):
            begin, end = begin.removesuffix("$"), ""
        schema["pattern"] = f"^({begin}{end})?$"
    return schema


class WholeField(serializers.IntegerField):
    """A whole number, which JSON may write as ``44.0``, too."""

    def to_internal_value(self, data: Any) -> int:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        if not is_number or data != data // 1:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))


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


class FlagField(serializers.BooleanField):
    """True or false, and nothing that could be read as one of them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **kwargs})

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


# --- Bodies ---------------------------------------------------------------------------------------


def given(body: Any) -> dict[str, Any]:
    """Return what a body says; ``null`` is the same as absent."""
    return {key: value for key, value in body.items() if value is not None}


def read(shape: type[serializers.Serializer[Any]], body: Any) -> dict[str, Any]:
    """Return what ``body`` says; raises for a wrong type first, then for the first rule it breaks."""
    serializer = shape(data=body)
    serializer.is_valid(raise_exception=True)
    return checked(serializer)


def checked(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Return what a valid body says, its texts held to their rules; the items of lists come first."""
    body = given(serializer.validated_data)
    for name in sorted(body, key=lambda name: not isinstance(body[name], list)):
        _check(serializer.fields[name], body[name], name=name)
    return body


def hold_to_rules(serializer: serializers.BaseSerializer[Any]) -> None:
    """Raise the error of the first text of a valid body that breaks its field's rule."""
    known: Any = serializer
    for name, field in known.fields.items():
        value = known.validated_data.get(field.source)
        if value is not None and not field.read_only:
            _check(field, value, name=name)


def _check(field: serializers.Field[Any, Any, Any, Any], value: Any, *, name: str) -> None:
    if isinstance(field, serializers.ListField):
        for item in value:
            _check(field.child, item, name=name)
    elif isinstance(field, TextField):
        field.check(value, name=name)


# --- Query parameters -----------------------------------------------------------------------------


def parameter(
    name: str, description: str, *, choices: Sequence[str] | None = None, kind: Any = str
) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description, enum=choices)


def text_parameter(
    name: str,
    description: str = "",
    *,
    rule: rules.TextRule,
    or_empty: bool = False,
    required: bool = False,
) -> OpenApiParameter:
    """Return a parameter that the rule allows."""
    schema = schema_of(rule, or_empty=or_empty)
    return OpenApiParameter(name, schema, description=description, required=required)


def limit_parameter(*, default: int | None = 100) -> OpenApiParameter:
    """Return ``limit`` as ``api.read_limit`` reads it."""
    schema = {"type": "integer", "minimum": 1, "maximum": api.MAX_LIMIT}
    if default is None:
        return OpenApiParameter("limit", schema, description="Default: all.")
    return OpenApiParameter("limit", {**schema, "default": default})


#: ``offset`` as ``api.read_offset`` reads it.
OFFSET = OpenApiParameter(
    "offset", {"type": "integer", "minimum": 0, "maximum": api.MAX_OFFSET, "default": 0}
)
PAGE = (limit_parameter(), OFFSET)
#: Lists that have cursors, and kept ``offset`` from before.
CURSOR = OpenApiParameter(
    "cursor", {"type": "string", "maxLength": 4096}, description="Out of `next` or `previous`."
)
CURSOR_PAGE = (*PAGE, CURSOR)
