"""The groups that staff belong to, and what a migration grants them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib.auth.management import create_permissions

#: From the least to the most: each may do what those before it may.
GROUPS = ("viewers", "operators", "approvers", "administrators")

_VIEWER = frozenset(
    {"services:read", "updates:read", "artifacts:read", "audit:read", "tokens:write"}
)
_OPERATOR = _VIEWER | {
    *("registry:manage", "labels:write", "updates:deploy", "artifacts:write", "webhooks:send"),
}
_APPROVER = _OPERATOR | {"approvals:decide"}
#: What a token of a person of the role may do at most; administrators have every scope.
SCOPES: Mapping[str, frozenset[str]] = {
    "viewers": _VIEWER,
    "operators": _OPERATOR,
    "approvers": _APPROVER,
}
ADMINISTRATORS = GROUPS[-1]


def granting(app_label: str, granted: Mapping[str, Sequence[str]]) -> Callable[[Any, Any], None]:
    """Return a migration's function: give groups the app's permissions that match the globs.

    Nothing is taken away, so that what staff granted or migrations before this one stays.
    """

    def grant(apps: Any, _schema_editor: Any) -> None:
        permissions = _permissions(apps, app_label)
        groups = apps.get_model("auth", "Group").objects
        for name in GROUPS:
            group, _ = groups.get_or_create(name=name)
            globs = granted.get(name, ())
            group.permissions.add(
                *(row for row in permissions if _matches(row.codename, globs)),
            )

    return grant


def _permissions(apps: Any, app_label: str) -> list[Any]:
    """Return the app's permissions, made now: Django would make them after the last migration only."""
    app = apps.get_app_config(app_label)
    if not hasattr(app, "models_module"):
        app.models_module = True  # the stand-in that migrations get; without it nothing is made
    create_permissions(app, apps=apps, verbosity=0)
    rows = apps.get_model("auth", "Permission").objects
    return list(rows.filter(content_type__app_label=app_label))


def _matches(codename: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(codename, glob) for glob in globs)
