"""Make the installation what a document says: one transaction, idempotent, with the differences as answer."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from rest_framework import serializers

from registry.identity.accounts import Caller
from registry.models import ManagedObject, mark_column
from saga_project.shared import api, auditing, errors, locks
from saga_project.web.declared import references
from saga_project.web.declared.section import Author, Section
from saga_project.web.declared.sections import SECTIONS

DEFAULT_MANAGER = "apply"
MASK = "***"


class ManagedElsewhere(errors.Conflict):
    error = "Managed by another file"


class InvalidDocument(errors.InvalidRequest):
    error = "Invalid document"


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row that is created, updated, deleted or, where it has a life of its own, only released."""

    action: str
    section: str
    item: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


@dataclasses.dataclass
class Applied:
    differences: list[Difference] = dataclasses.field(default_factory=list)
    unchanged: int = 0

    def count(self, action: str) -> int:
        return sum(each.action == action for each in self.differences)


class DryRunEnded(Exception):
    """Rolls the transaction of a dry run back."""


@dataclasses.dataclass(frozen=True)
class _Run:
    manager: str
    author: Author
    applied: Applied = dataclasses.field(default_factory=Applied)


def apply(
    document: Mapping[str, Any], *, by: Caller, now: dt.datetime, is_dry_run: bool
) -> Applied:
    """Apply the document; a dry run does all of it and rolls back.

    Raises InvalidDocument, InvalidReference, InvalidRow, ManagedElsewhere.
    """
    author = Author(by=by, now=now, makes_default_rules="notification_rules" not in document)
    run = _Run(document.get("managed_by") or DEFAULT_MANAGER, author)
    try:
        with transaction.atomic():
            locks.acquire(locks.Lock.APPLY)
            _apply_all(document, run)
            if is_dry_run:
                raise DryRunEnded
    except DryRunEnded:
        pass
    return run.applied


def _apply_all(document: Mapping[str, Any], run: _Run) -> None:
    kept = {
        section.name: _apply_section(section, document.get(section.name) or [], run)
        for section in SECTIONS
    }
    for section in reversed(SECTIONS):
        _prune(section, kept[section.name], run)
    if run.applied.differences:
        actions = ("create", "update", "delete", "release")
        counts = {action: run.applied.count(action) for action in actions}
        auditing.record(
            "configuration.applied",
            actor=run.author.name,
            data={"managed_by": run.manager, **counts},
            at=run.author.now,
        )


def _apply_section(section: Section, items: list[dict[str, Any]], run: _Run) -> set[Any]:
    seen: set[Any] = set()
    for number, item in enumerate(items):
        where = f"{section.name}[{number}]"
        try:
            pk = _apply_item(section, item, run)
        except serializers.ValidationError as exc:
            raise InvalidDocument(f"{where}.{api.invalid_fields(exc).message}") from exc
        except errors.SagaError as exc:
            exc.message = f"{where}: {exc.message}"
            raise
        if pk in seen:
            raise InvalidDocument(f"{where}: this {section.kind.name} stands twice in the file.")
        seen.add(pk)
    return seen


def _apply_item(section: Section, item: dict[str, Any], run: _Run) -> Any:
    given = {
        name: references.resolve(item[name])
        for name in (*section.secrets, *section.referable)
        if name in item
    }
    shape = section.shape(data={**item, **given})
    shape.is_valid(raise_exception=True)
    values = section.complete(dict(shape.validated_data))
    row = section.find(values)
    known = _references(section, row) if row is not None else {}
    before = _masked(section, row, known) if row is not None else {}
    action = "create" if row is None else "update"
    if row is not None:
        _check_manager(section, row.pk, run)
    row, is_changed = section.write(row, values, run.author)
    # What the item leaves out stays as it was stored, by reference as well.
    named = {name: text for name, text in known.items() if name not in item}
    named |= {name: item[name] for name in given if references.is_reference(item[name])}
    ManagedObject.objects.update_or_create(
        model=section.kind.model._meta.label_lower,
        **_key(section, row.pk),
        defaults={"managed_by": run.manager, "references": named},
    )
    if not is_changed:
        run.applied.unchanged += 1
        return row.pk
    secrets = {name: MASK for name in given if name in section.secrets}
    after = {**_masked(section, row, named), **secrets}
    run.applied.differences.append(
        Difference(action, section.name, section.known_as(row), before, after)
    )
    return row.pk


def _references(section: Section, row: Any) -> dict[str, Any]:
    """Return the references by which a file gave fields of the row."""
    if not (section.secrets or section.referable):
        return {}
    mark = _marks(section).filter(**_key(section, row.pk)).first()
    return dict(mark.references) if mark is not None else {}


def _masked(section: Section, row: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row's item, with what its file gave by reference masked."""
    shown = section.describe(row)
    return {name: MASK if name in named else value for name, value in shown.items()}


def _key(section: Section, pk: Any) -> dict[str, Any]:
    return {mark_column(section.kind.model): pk}


def _marks(section: Section) -> Any:
    return ManagedObject.objects.filter(model=section.kind.model._meta.label_lower)


def _check_manager(section: Section, pk: Any, run: _Run) -> None:
    other = _marks(section).filter(**_key(section, pk)).exclude(managed_by=run.manager).first()
    if other is not None:
        raise ManagedElsewhere(
            f"This is managed by '{other.managed_by}': take it out of that file first."
        )


def _prune(section: Section, kept: set[Any], run: _Run) -> None:
    """Take away what the file described before and describes no more."""
    column = mark_column(section.kind.model)
    left = _marks(section).filter(managed_by=run.manager).exclude(**{f"{column}__in": kept})
    keys = list(left.values_list(column, flat=True))
    for row in section.rows().filter(pk__in=keys).select_for_update(of=("self",)):
        before = _masked(section, row, _references(section, row))
        item = section.known_as(row)
        action = section.prune(row, run.author)
        run.applied.differences.append(Difference(action, section.name, item, before, {}))
    left.delete()


def export(*, manager: str | None) -> dict[str, Any]:
    """Return the document that makes this installation; with ``manager``, what that file manages.

    Secrets are in it where a file gave them by reference.
    """
    document: dict[str, Any] = {} if manager is None else {"managed_by": manager}
    for section in SECTIONS:
        marks, column = _marks(section), mark_column(section.kind.model)
        rows = section.rows()
        if manager is not None:
            marks = marks.filter(managed_by=manager)
            rows = rows.filter(pk__in=marks.values(column))
        named = dict(marks.values_list(column, "references"))
        document[section.name] = [
            {**section.describe(row), **named.get(row.pk, {})} for row in rows.iterator(1000)
        ]
    return document
