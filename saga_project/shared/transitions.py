"""State transitions: one table on the model, one conditional UPDATE, zero rows as an answer.

A model with a state declares ``MOVES``, which maps each target state to the states that it may be reached
from, and ``STATE_FIELD`` where the column is not called ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from django.db import models
from django.db.models.expressions import Combinable

Row = TypeVar("Row", bound=models.Model)


class Stateful(Protocol):
    """A model class with a table of transitions."""

    MOVES: Mapping[Any, Sequence[Any]]


def state_field(model: type[models.Model]) -> str:
    """Return the name of the column that holds the state."""
    return str(getattr(model, "STATE_FIELD", "status"))


def sources(model: type[models.Model], to: str) -> list[str]:
    """Return the states from which ``to`` may be reached; raises KeyError for a state without an entry."""
    table = cast("type[Stateful]", model).MOVES
    return [str(state) for state in table[to]]


def is_allowed(row: models.Model, to: str) -> bool:
    """Return whether the row, as it is in memory, may move to ``to``."""
    return getattr(row, state_field(type(row))) in sources(type(row), to)


def movable(rows: models.QuerySet[Row], to: str) -> models.QuerySet[Row]:
    """Narrow ``rows`` to those that may move to ``to``; for updates of many rows in one statement."""
    return rows.filter(**{f"{state_field(rows.model)}__in": sources(rows.model, to)})


def move_rows(rows: models.QuerySet[Row], to: str, **changes: object) -> int:
    """Move those of ``rows`` that may move to ``to``, in one UPDATE with ``changes``; return how many."""
    fields: dict[str, Any] = {state_field(rows.model): to, **changes}
    return movable(rows, to).update(**fields)


def move(row: models.Model, to: str, **changes: object) -> bool:
    """Move one row by one conditional UPDATE, together with ``changes``.

    Returns False, and changes nothing, where the state in the database does not allow the move. Expressions
    among the changes are read back from the database.
    """
    model = type(row)
    rows = model._base_manager.filter(pk=row.pk)  # noqa: SLF001 - Django's documented way to all rows
    if not move_rows(rows, to, **changes):
        return False
    fields: dict[str, Any] = {state_field(model): to, **changes}
    for name, value in fields.items():
        if not isinstance(value, Combinable):
            setattr(row, name, value)
    if computed := [name for name, value in fields.items() if isinstance(value, Combinable)]:
        row.refresh_from_db(fields=computed)
    return True


def require_move(row: models.Model, to: str, **changes: object) -> None:
    """Move a row that the caller keeps from changing; raises ValueError where the table does not allow it."""
    if not move(row, to, **changes):
        raise ValueError(_refusal(row, to))


def set_state(row: models.Model, to: str) -> None:
    """Set the state of a row that the caller has locked and saves; raises ValueError if not allowed."""
    if not is_allowed(row, to):
        raise ValueError(_refusal(row, to))
    setattr(row, state_field(type(row)), to)


def _refusal(row: models.Model, to: str) -> str:
    current = getattr(row, state_field(type(row)))
    return f"{type(row).__name__} is {current} and cannot become {to}."
