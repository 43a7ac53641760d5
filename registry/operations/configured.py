"""Rows that people and programs configure: the same rules, the same audit entry, whichever way they come.

A row belongs to the owner of its service. One without a service concerns every service and is the
administrators'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from registry import errors
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Selecting
from saga_project.shared import auditing, labels
from saga_project.shared.errors import NotFound

Faults = Mapping[str, str]
Precondition = Callable[[Any], None]
#: Columns that programs keep, and the service, which the entry names itself.
_UNRECORDED = ("service", "updated_at", "created_at")


def no_faults(_row: Any) -> Faults:
    return {}


def no_wake_up(_row: Any) -> None:
    return


def no_precondition(_row: Any) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of such rows; ``name`` is the audit trail's: ``policy`` gives ``policy.changed``."""

    model: type[models.Model]
    name: str
    #: Return what is wrong with the row, by field.
    find_faults: Callable[[Any], Faults] = no_faults
    #: Wake up what acts on the row, on commit.
    wake_up: Callable[[Any], None] = no_wake_up


def check_may_change(row: Any, *, by: Caller | None) -> None:
    """Raise ServiceOwned, ServiceNotGranted, SelectorOwned or GlobalRowOwned unless the caller may change it.

    A selector reaches services of other owners, so that it takes an administrator in open mode, too.
    """
    service = getattr(row, "service", None)
    if service is not None:
        accounts.check_may_change(by, service.name, owner_id=service.account_id)
    elif isinstance(row, Selecting) and row.selector and (by is None or not by.is_admin):
        raise errors.SelectorOwned(
            "A selector of labels concerns services of every owner: send a token with the scope"
            " 'admin:registry'."
        )
    elif by is not None and not by.is_admin:
        raise errors.GlobalRowOwned(
            "This concerns every service: send a token with the scope 'admin:registry', or name a service."
        )


def add(kind: Kind, row: Any, *, by: Caller | None, now: dt.datetime) -> Any:
    """Save a new row. Raises InvalidRow, RowExists, and what ``check_may_change`` raises."""
    with transaction.atomic(durable=True):
        check_may_change(row, by=by)
        save(kind, row, actor=actor_of(by), before=None, now=now)
    return row


def change(
    kind: Kind,
    pk: Any,
    values: Mapping[str, Any],
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition = no_precondition,
) -> Any:
    """Set ``values`` on the row and return it; ``precondition`` may refuse the locked row."""
    with transaction.atomic(durable=True):
        row = _to_change(kind, pk, by=by, precondition=precondition)
        before = describe(row)
        for name, value in values.items():
            setattr(row, name, value)
        check_may_change(row, by=by)  # it may have got a selector
        save(kind, row, actor=actor_of(by), before=before, now=now)
    return row


def remove(
    kind: Kind,
    pk: Any,
    *,
    by: Caller | None,
    now: dt.datetime,
    precondition: Precondition = no_precondition,
) -> None:
    """Delete the row; ``precondition`` may refuse the locked row."""
    with transaction.atomic(durable=True):
        row = _to_change(kind, pk, by=by, precondition=precondition)
        delete(kind, row, actor=actor_of(by), now=now)


# --- Inside the caller's transaction --------------------------------------------------------------


def save(
    kind: Kind, row: Any, *, actor: str, before: Mapping[str, Any] | None, now: dt.datetime
) -> None:
    """Check and save a row, and record it; ``before`` is its description, None for a new one."""
    _check(kind, row)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as exc:
        raise errors.RowExists(f"Another request has just saved the same {kind.name}.") from exc
    record(kind, row, actor=actor, before=before, now=now)


def delete(kind: Kind, row: Any, *, actor: str, now: dt.datetime) -> None:
    """Delete a row, and record what it was."""
    _record(kind, row, "deleted", actor=actor, now=now, data={"before": describe(row)})
    row.delete()


def record(
    kind: Kind, row: Any, *, actor: str, before: Mapping[str, Any] | None, now: dt.datetime
) -> None:
    """Record a saved row with what it was and what it is; the same again is not recorded."""
    after = describe(row)
    if before is None:
        _record(kind, row, "added", actor=actor, now=now, data={"after": after})
        return
    changed = sorted(name for name in after if after[name] != before.get(name))
    if changed:
        data = {
            "fields": ", ".join(changed),
            "before": {name: before.get(name) for name in changed},
            "after": {name: after[name] for name in changed},
        }
        _record(kind, row, "changed", actor=actor, now=now, data=data)


def describe(row: models.Model) -> dict[str, Any]:
    """Return the row's fields as the audit trail shows them; of a secret only that there is one.

    A model's ``BOOKKEEPING`` names columns that programs keep, which are no settings.
    """
    known = {}
    unrecorded = (*_UNRECORDED, *getattr(row, "BOOKKEEPING", ()))
    for field in row._meta.concrete_fields:
        if field.primary_key or field.name in unrecorded:
            continue
        value = getattr(row, field.attname)
        if field.name.startswith("sealed_"):
            known[field.name] = auditing.masked(value)
        else:
            known[field.name] = auditing.plain(value)
    return known


def actor_of(by: Caller | None) -> str:
    return "anonymous" if by is None else str(by).removeprefix(accounts.STAFF)


def selector_faults(row: Any, *, what: str) -> Faults:
    """Return what is wrong with the selector of a row that may be of one service instead."""
    if not row.selector:
        return {}
    if fault := labels.SELECTOR.fault(row.selector):
        return {"selector": fault}
    if row.service_id is not None:
        return {"selector": f"A {what} of one service takes no selector of labels."}
    return {}


def find_faults(kind: Kind, row: Any) -> Faults:
    """Return what is wrong with a row: by its model's fields, which are cleaned, else by its kind's rules."""
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as exc:
        return {name: " ".join(texts) for name, texts in exc.message_dict.items()}
    return kind.find_faults(row)


def _check(kind: Kind, row: Any) -> None:
    for name, text in find_faults(kind, row).items():
        field = None if name == NON_FIELD_ERRORS else name
        raise errors.InvalidRow(f"{field}: {text}" if field else text, field=field)
    try:
        row.validate_unique()
        row.validate_constraints()
    except ValidationError as exc:
        raise _refusal(kind, exc) from exc


def _refusal(kind: Kind, exc: ValidationError) -> Exception:
    codes = {getattr(each, "code", None) for each in exc.error_dict.get(NON_FIELD_ERRORS, [])}
    codes |= {each.code for texts in exc.error_dict.values() for each in texts}
    if codes & {"unique", "unique_together"}:
        return errors.RowExists(f"There is such a {kind.name} already: change that one.")
    return errors.InvalidRow(" ".join(exc.messages))


def _locked(kind: Kind, pk: Any) -> Any:
    rows: Any = kind.model._meta.default_manager
    names = {field.name for field in kind.model._meta.concrete_fields}
    rows = rows.select_related("service") if "service" in names else rows
    row = rows.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no such {kind.name}.")
    return row


def _to_change(kind: Kind, pk: Any, *, by: Caller | None, precondition: Precondition) -> Any:
    """Return the locked row, once the caller may change it and ``precondition`` accepts it."""
    row = _locked(kind, pk)
    check_may_change(row, by=by)
    precondition(row)
    return row


def _record(
    kind: Kind, row: Any, verb: str, *, actor: str, now: dt.datetime, data: dict[str, Any]
) -> None:
    service = getattr(row, "service", None)
    auditing.record(
        f"{kind.name}.{verb}",
        actor=actor,
        service_name=service.name if service is not None else "",
        data={"what": str(row)[:500], "id": row.pk, **data},
        at=now,
    )
    kind.wake_up(row)
