"""A section of the document: which rows it describes, and how such a row is written."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import F, Q, QuerySet

from registry.identity.accounts import Caller
from registry.operations import configured
from registry.operations.configured import Kind
from saga_project.shared.api import resources

Columns = Callable[[Any, dict[str, Any]], dict[str, Any]]
_RELATED = ("service", "account")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Author:
    """On whose behalf rows are written, and when."""

    by: Caller
    now: dt.datetime
    #: False where the document says which rules there are.
    makes_default_rules: bool = True

    @property
    def name(self) -> str:
        return configured.actor_of(self.by)


def _as_given(_row: Any, values: dict[str, Any]) -> dict[str, Any]:
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """Rows of one kind; ``key`` are the columns that say which row an item is about."""

    name: str
    kind: Kind
    shape: type[resources.StrictShape]
    key: tuple[str, ...]
    #: Fields that are written and never shown; an item without them keeps what is stored.
    secrets: tuple[str, ...] = ()
    #: Fields that are shown, and that a file may give by reference as well.
    referable: tuple[str, ...] = ()
    columns: Columns = _as_given
    #: Rows that no file describes.
    left_out: Q = dataclasses.field(default_factory=lambda: Q(pk__in=[]))
    #: Set on a row that its file describes no more; None deletes it.
    when_pruned: Mapping[str, Any] | None = None

    def rows(self) -> QuerySet[Any]:
        """Return the rows that a file may describe, in the order of an export."""
        manager: Any = self.kind.model._meta.default_manager
        found: QuerySet[Any] = manager.all()
        names = {field.name for field in self.kind.model._meta.concrete_fields}
        related = [name for name in _RELATED if name in names]
        found = found.select_related(*related) if related else found
        order = [
            F("service__name").asc(nulls_first=True) if name == "service" else name
            for name in self.key
        ]
        return found.exclude(self.left_out).order_by(*order, "pk")

    def find(self, values: Mapping[str, Any]) -> Any:
        """Return the locked row that ``values`` are about, None where there is none."""
        known = {name: values.get(name) for name in self.key}
        return self.rows().filter(**known).select_for_update(of=("self",), no_key=True).first()

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return ``values`` with the defaults of all fields that an item leaves out."""
        defaults = {}
        for name, field in self.shape().fields.items():
            column = field.source or name
            if field.read_only or name in self.secrets or column in values:
                continue
            model_field: Any = self.kind.model._meta.get_field(column)
            defaults[column] = model_field.to_python(model_field.get_default())
        return {**defaults, **values}

    def describe(self, row: Any) -> dict[str, Any]:
        """Return the item of a document that makes the row what it is."""
        shown = dict(self.shape(row).data)
        read_only = {name for name, field in self.shape().fields.items() if field.read_only}
        return {name: value for name, value in shown.items() if name not in read_only}

    def known_as(self, row: Any) -> dict[str, Any]:
        """Return the part of the row's item that says which row it is."""
        fields = self.shape().fields
        keys = [name for name, field in fields.items() if (field.source or name) in self.key]
        shown = self.describe(row)
        return {name: shown[name] for name in keys}

    def write(self, row: Any, values: dict[str, Any], author: Author) -> tuple[Any, bool]:
        """Return the saved row, and whether it differs from what was stored."""
        columns = self.columns(row, values)
        before = configured.describe(row) if row is not None else None
        row = row if row is not None else self.kind.model()
        if before is not None and all(getattr(row, name) == columns[name] for name in columns):
            return row, False
        for name, value in columns.items():
            setattr(row, name, value)
        configured.save(self.kind, row, actor=author.name, before=before, now=author.now)
        return row, True

    def prune(self, row: Any, author: Author) -> str:
        """Take the row away, and return what that is called."""
        if self.when_pruned is None:
            configured.delete(self.kind, row, actor=author.name, now=author.now)
            return "delete"
        if self.when_pruned:
            self.write(row, dict(self.when_pruned), author)
        return "release"
