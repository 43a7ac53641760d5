"""Labels of objects, and the selectors that pick objects by them.

The syntax is a part of Kubernetes': ``env=prod``, ``team!=pay``, ``tier`` (the label exists) and ``!legacy``
(it does not), joined by commas; all of them must hold. As there, ``team!=pay`` also holds where there is no
label ``team``. Sets (``in``, ``notin``) are left out: two rules, or two objects, say the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from saga_project.shared import errors, rules

MAX_LABELS = 32
MAX_SELECTOR_LENGTH = 1024
MAX_REQUIREMENTS = 16
_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = rf"(?:!{_KEY}|{_KEY}(?:(?:==|!=|=){_VALUE})?)"
_PARTS = re.compile(rf"(?P<not>!)?(?P<key>{_KEY})(?:(?P<operator>==|!=|=)(?P<value>{_VALUE}))?")


class InvalidLabels(errors.InvalidRequest):
    error = "Invalid labels"


class InvalidSelector(errors.InvalidRequest):
    error = "Invalid selector"


KEY = rules.PatternRule(
    pattern=_KEY,
    message=(
        "The name of a label has 1-63 characters out of A-Z a-z 0-9 . _ / -,"
        " and begins and ends with a letter or digit."
    ),
    max_length=63,
    error=InvalidLabels,
)
VALUE = rules.PatternRule(
    pattern=_VALUE,
    message=(
        "The value of a label has up to 63 characters out of A-Z a-z 0-9 . _ -,"
        " and begins and ends with a letter or digit."
    ),
    max_length=63,
    error=InvalidLabels,
)


@dataclass(frozen=True, kw_only=True)
class SelectorRule(rules.PatternRule):
    """A selector is bounded before it is read."""

    def fault(self, text: str) -> str | None:
        return self.message if len(text) > MAX_SELECTOR_LENGTH else super().fault(text)


SELECTOR = SelectorRule(
    pattern=rf" *{_REQUIREMENT} *(?:, *{_REQUIREMENT} *){{0,{MAX_REQUIREMENTS - 1}}}",
    message=(
        "A selector is a list such as env=prod,team!=pay,tier,!legacy: up to"
        f" {MAX_REQUIREMENTS} conditions on labels, separated by commas."
    ),
    max_length=MAX_SELECTOR_LENGTH,
    error=InvalidSelector,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One condition; without a ``value`` it asks whether the label exists."""

    key: str
    value: str | None
    is_negated: bool

    def __str__(self) -> str:
        if self.value is None:
            return f"!{self.key}" if self.is_negated else self.key
        return f"{self.key}{'!=' if self.is_negated else '='}{self.value}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.key)
        holds = found is not None if self.value is None else found == self.value
        return holds != self.is_negated

    def condition(self, column: str) -> Q:
        holds = (
            Q(**{f"{column}__has_key": self.key})
            if self.value is None
            else Q(**{f"{column}__contains": {self.key: self.value}})
        )
        return ~holds if self.is_negated else holds


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that all must hold; ``str()`` gives the normal form of the text."""

    requirements: tuple[Requirement, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self.requirements)

    def condition(self, column: str = "labels") -> Q:
        """Return the same as a filter on a JSON column, such as ``service__labels``."""
        found = Q()
        for each in self.requirements:
            found &= each.condition(column)
        return found


@functools.lru_cache(maxsize=1024)
def parse(text: str, *, field: str = "selector") -> Selector:
    """Return the selector. Raises InvalidSelector; the empty text is none, and selects nothing by itself."""
    SELECTOR.check(text, field=field)
    return Selector(tuple(_requirement(part.strip(" ")) for part in text.split(",")))


def _requirement(text: str) -> Requirement:
    found = _PARTS.fullmatch(text)
    assert found is not None  # noqa: S101 - the rule allows nothing else
    is_negated = bool(found["not"]) or found["operator"] == "!="
    return Requirement(key=found["key"], value=found["value"], is_negated=is_negated)


def selects(text: str, labels: Mapping[str, str]) -> bool:
    """Return whether a stored selector picks these labels; an empty one, or a broken one, picks nothing."""
    if not text or SELECTOR.fault(text) is not None:
        return False
    return parse(text).matches(labels)


def check(labels: Any, *, field: str = "labels") -> dict[str, str]:
    """Return labels from outside, in the order of their names. Raises InvalidLabels."""
    if not isinstance(labels, dict):
        raise InvalidLabels('Labels are an object, such as {"env": "prod"}.', field=field)
    if len(labels) > MAX_LABELS:
        raise InvalidLabels(f"There may be at most {MAX_LABELS} labels.", field=field)
    for key, value in labels.items():
        KEY.check(key if isinstance(key, str) else "", field=field)
        if not isinstance(value, str):
            raise InvalidLabels(f"The value of the label '{key}' must be a text.", field=field)
        VALUE.check(value, field=field)
    return dict(sorted(labels.items()))


def read_text(text: str) -> dict[str, str]:
    """Return the labels of a form's text, such as ``env=prod team=pay``. Raises InvalidLabels."""
    found = {}
    for part in text.replace(",", " ").split():
        key, separator, value = part.partition("=")
        if not separator or key in found:
            raise InvalidLabels(
                "Write each label once, as name=value, separated by spaces.", field="labels"
            )
        found[key] = value
    return check(found)


def show(labels: Mapping[str, str]) -> str:
    """Return labels as ``read_text`` reads them."""
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()))
