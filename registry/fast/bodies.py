"""Reads bodies by the fields of the serializers that define them, without Django REST framework at work.

A reader takes what is usual and what the serializer is sure to take unchanged. It knows no error: whatever
it is not sure of is the view's to read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from saga_project.shared.api import fields

MAX_TEXT = 128  # Longer texts are legal in places; they are not usual.

Body = dict[str, Any]
Check = Callable[[Any], bool]


def reader_of(shape: type[serializers.Serializer[Any]]) -> Callable[[Body], Body | None]:
    """Return a function that returns what a body says, without null, or None in doubt.

    Raises TypeError for a field of a kind that this module does not know.
    """
    checks = {name: _check_of(field) for name, field in shape().fields.items()}
    required = [name for name, field in shape().fields.items() if field.required]
    not_null = [name for name, field in shape().fields.items() if not field.allow_null]

    def read(body: Body) -> Body | None:
        said: Body = {}
        for name, check in checks.items():
            value = body.get(name)
            if value is None:
                continue
            if not check(value):
                return None
            said[name] = value
        if len(said) < len(body) and any(name in body and body[name] is None for name in not_null):
            return None
        return said if all(map(said.__contains__, required)) else None

    return read


def _check_of(field: serializers.Field[Any, Any, Any, Any]) -> Check:
    """Return a function that says whether the field takes a value, not null, unchanged."""
    for kind, make in _CHECKS.items():
        if isinstance(field, kind) and field.default is serializers.empty:
            return make(field)
    raise TypeError(f"the fast path cannot read {field!r}")


def _text(field: fields.TextField) -> Check:
    longest = min(field.max_length or MAX_TEXT, MAX_TEXT)
    rule, may_be_empty = field.rule, field.allow_blank and (field.rule is None or field.or_empty)

    def check(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > longest:
            return False
        if not value:
            return may_be_empty
        if field.trim_whitespace and value != value.strip():
            return False
        return rule is None or rule.allows(value)

    return check


def _whole(field: fields.WholeField) -> Check:
    least, most = field.min_value, field.max_value
    if least is None or most is None:
        raise TypeError(f"the fast path cannot read {field!r} without bounds")
    return lambda value: type(value) is int and least <= value <= most


def _choice(field: serializers.ChoiceField) -> Check:
    choices = frozenset(field.choices)
    return lambda value: isinstance(value, str) and value in choices


def _list(field: serializers.ListField) -> Check:
    _demand_unbounded(field, "min_length", "max_length")
    check = _check_of(field.child)
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _mapping(field: serializers.DictField) -> Check:
    _demand_unbounded(field)
    check = _check_of(field.child)
    return lambda value: isinstance(value, dict) and all(check(item) for item in value.values())


def _demand_unbounded(field: Any, *bounds: str) -> None:
    if not field.allow_empty or any(getattr(field, bound) is not None for bound in bounds):
        raise TypeError(f"the fast path cannot read {field!r}: its size is bounded")


_CHECKS: dict[type[serializers.Field[Any, Any, Any, Any]], Callable[[Any], Check]] = {
    fields.TextField: _text,
    fields.WholeField: _whole,
    serializers.ChoiceField: _choice,
    serializers.ListField: _list,
    serializers.DictField: _mapping,
}
