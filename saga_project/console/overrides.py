"""Changing a service although the calendar says no: with a permission, and a reason that goes on record."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import AbstractUser

from saga_project.console import roles
from saga_project.shared.admin.verbs import Choice, Form
from updates.operations import Override

FIELD = "override_reason"


def choices(user: AbstractUser, *, is_open: bool) -> Sequence[Choice]:
    """Return the field for the reason, where a gate is closed and this person may override it."""
    if is_open or not user.has_perm(roles.OVERRIDE_CALENDAR):
        return []
    return [
        Choice(
            name=FIELD,
            label="Override this because",
            hint="It goes into the audit trail.",
            is_long=True,
        )
    ]


def blocked_by(user: AbstractUser, obstacle: str | None) -> str:
    """Return why the button could only fail: a gate is closed, and this person may not override it."""
    return "" if user.has_perm(roles.OVERRIDE_CALENDAR) else obstacle or ""


def read(user: AbstractUser, form: Form) -> Override | None:
    reason = form.get(FIELD, "")
    if not reason or not user.has_perm(roles.OVERRIDE_CALENDAR):
        return None
    return Override(by=user.get_username(), reason=reason)
