"""Who may press which button: Django's permissions, which the groups hand out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

#: From the most to the least, as the registry's migration makes them.
GROUPS = ("administrators", "approvers", "operators", "viewers")

APPROVE_SERVICE = "registry.approve_service"
DEREGISTER_SERVICE = "registry.deregister_service"
CHANGE_SERVICE = "registry.change_service"
DEPLOY = "updates.add_job"
OPERATE_JOB = "updates.operate_job"
ACKNOWLEDGE_JOB = "updates.acknowledge_job"
DECIDE_APPROVAL = "updates.decide_approval"
REPLAY_CALL = "webhooks.replay_inboundcall"
REPLAY_DELIVERY = "webhooks.replay_delivery"
CONFIGURE_WEBHOOKS = "webhooks.change_configuration"


def name_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """Return the role to show beside the name; it decides nothing."""
    if getattr(user, "is_superuser", False):
        return "superuser"
    groups: Any = getattr(user, "groups", None)
    names = set(groups.values_list("name", flat=True)) if groups is not None else set()
    return next((role.removesuffix("s") for role in GROUPS if role in names), "staff")


def demand(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied("Your role does not allow this.")
