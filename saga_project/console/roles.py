"""Permissions of the console's buttons: Django's own, granted through the groups."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AbstractUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from registry.identity import accounts, people
from registry.identity import roles as groups
from registry.identity.accounts import Caller
from registry.models import ServiceAccount

APPROVE_SERVICE = "registry.approve_service"
DEREGISTER_SERVICE = "registry.deregister_service"
CHANGE_SERVICE = "registry.change_service"
DEPLOY = "updates.add_job"
OPERATE_JOB = "updates.operate_job"
ACKNOWLEDGE_JOB = "updates.acknowledge_job"
OVERRIDE_CALENDAR = "updates.override_calendar"
DECIDE_APPROVAL = "updates.decide_approval"
REPLAY_CALL = "webhooks.replay_inboundcall"
REPLAY_DELIVERY = "webhooks.replay_delivery"
ADD_SOURCE = "updates.add_source"
CHANGE_SOURCE = "updates.change_source"
CONFIGURE_WEBHOOKS = "webhooks.change_configuration"


def name_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """Return the role to show beside the name; it decides nothing."""
    if not isinstance(user, AbstractUser):
        return ""
    if user.is_superuser:
        return "superuser"
    names = set(user.groups.values_list("name", flat=True))
    return next(
        (role.removesuffix("s") for role in reversed(groups.GROUPS) if role in names), "staff"
    )


def person(request: HttpRequest) -> User:
    """Return the logged-in user; the site's guard has rejected anonymous requests."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def caller(user: AbstractUser) -> Caller:
    """Return a person as a caller that its roles decide about; unlike ``accounts.staff`` no administrator."""
    name = user.get_username()
    return Caller(
        account=ServiceAccount(name=f"{accounts.STAFF}{name}"),
        scopes=people.scopes_of(user) if isinstance(user, User) else frozenset(),
        is_service_account=False,
        person=name,
    )


def demand(request: HttpRequest, permission: str) -> None:
    if not person(request).has_perm(permission):
        raise PermissionDenied("Your role does not allow this.")
