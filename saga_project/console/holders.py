"""People and roles as the audit trail shows them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group

from saga_project.shared import auditing


def describe(holder: Any) -> dict[str, Any]:
    """Return a person or role as the audit trail shows it."""
    if isinstance(holder, Group):
        granted = holder.permissions.order_by("codename").values_list("codename", flat=True)
        return {"name": holder.name, "permissions": list(granted)}
    granted = holder.user_permissions.order_by("codename").values_list("codename", flat=True)
    return {
        "username": holder.get_username(),
        "email": holder.email,
        "is_active": holder.is_active,
        "is_staff": holder.is_staff,
        "is_superuser": holder.is_superuser,
        "password": auditing.masked(holder.password),
        "roles": list(holder.groups.order_by("name").values_list("name", flat=True)),
        "permissions": list(granted),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is different, before and after; None where nothing is."""
    changed = [name for name in after if after[name] != before[name]]
    if not changed:
        return None
    return {
        "before": {name: before[name] for name in changed},
        "after": {name: after[name] for name in changed},
    }
