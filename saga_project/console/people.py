"""Admin pages of people and roles: a person grants no permission that it does not have itself."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import AbstractUser, Group, Permission, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from saga_project.console import roles

for model in (User, Group):
    admin.site.unregister(model)


def _permissions_of(holder: AbstractUser | Group) -> QuerySet[Permission]:
    """Return what a person or a role is granted; an inactive person's count, since it may come back."""
    if isinstance(holder, Group):
        return holder.permissions.all()
    return Permission.objects.filter(Q(user=holder.pk) | Q(group__user=holder.pk)).distinct()


def may_manage(person: AbstractUser, holder: AbstractUser | Group | None) -> bool:
    """Return whether ``person`` has every permission of the person or role that it would manage."""
    if person.is_superuser or holder is None:
        return True
    if isinstance(holder, AbstractUser) and holder.is_superuser:
        return False
    return not _permissions_of(holder).exclude(pk__in=_permissions_of(person)).exists()


class _Bounded(ModelAdmin):  # type: ignore[misc]
    """Pages of people or roles that a person may manage."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_allowed: bool = super().has_change_permission(request, obj)
        return is_allowed and may_manage(roles.person(request), obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_allowed: bool = super().has_delete_permission(request, obj)
        return is_allowed and may_manage(roles.person(request), obj)

    def formfield_for_manytomany(self, db_field: Any, request: Any, **options: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **options)
        person = roles.person(request)
        if field is None or person.is_superuser:
            return field
        if db_field.related_model is Group:
            managed = [role.pk for role in Group.objects.all() if may_manage(person, role)]
            field.queryset = Group.objects.filter(pk__in=managed)
        elif db_field.related_model is Permission:
            field.queryset = field.queryset.filter(pk__in=_permissions_of(person))
        return field


@admin.register(User)
class PersonAdmin(_Bounded, UserAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_staff", "is_superuser", "is_active", "last_login"]
    list_filter = ["groups", "is_staff", "is_active"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if roles.person(request).is_superuser else (*fields, "is_superuser")


@admin.register(Group)
class RoleAdmin(_Bounded, GroupAdmin):  # type: ignore[misc]
    pass
