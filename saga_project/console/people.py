"""Admin pages of people and roles: a person grants no permission that it does not have itself."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from registry.identity import accounts
from registry.operations import people as operations
from saga_project.console import holders, roles
from saga_project.shared import auditing
from saga_project.shared.admin import verbs

for model in (User, Group):
    admin.site.unregister(model)


def _record(request: HttpRequest, holder: Any, verb: str, data: dict[str, Any]) -> None:
    kind = "role" if isinstance(holder, Group) else "user"
    auditing.record(
        f"{kind}.{verb}",
        actor=request.user.get_username(),
        data={"what": str(holder), "id": holder.pk, **data},
        at=timezone.now(),
    )


def _record_change(request: HttpRequest, holder: Any, before: dict[str, Any]) -> None:
    if (data := holders.changes(before, holders.describe(holder))) is not None:
        _record(request, holder, "changed", data)


class _Bounded(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of people or roles that a person may manage; each change is in the audit trail."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        known = type(obj)._meta.default_manager.get(pk=obj.pk) if change else None
        form.described_before = holders.describe(known) if known is not None else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.described_before is None:
            _record(request, form.instance, "added", {"after": holders.describe(form.instance)})
        else:
            _record_change(request, form.instance, form.described_before)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        _record(request, obj, "deleted", {"before": holders.describe(obj)})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_allowed: bool = super().has_change_permission(request, obj)
        return is_allowed and operations.may_manage(roles.person(request), obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_allowed: bool = super().has_delete_permission(request, obj)
        return is_allowed and operations.may_manage(roles.person(request), obj)

    def formfield_for_manytomany(self, db_field: Any, request: Any, **options: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **options)
        person = roles.person(request)
        if field is None or person.is_superuser:
            return field
        if db_field.related_model is Group:
            managed = [
                role.pk for role in Group.objects.all() if operations.may_manage(person, role)
            ]
            field.queryset = Group.objects.filter(pk__in=managed)
        elif db_field.related_model is Permission:
            field.queryset = Permission.objects.filter(pk__in=operations.permissions_of(person))
        return field


def _reset_factor(request: HttpRequest, holder: User, _reason: str) -> None:
    by = accounts.staff(request.user.get_username())
    operations.reset_second_factor(holder, by=by, now=timezone.now())


RESET = verbs.Verb(
    name="reset_second_factors",
    label="Reset the second factor",
    consequences=[
        "Authenticator app, security keys and recovery codes of these people are removed.",
        "They log in without one the next time, and set one up anew where their role must have one.",
    ],
    done="Second factor reset",
    does=_reset_factor,
)


@admin.register(User)
class PersonAdmin(_Bounded, UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_staff", "is_superuser", "is_active", "last_login"]
    list_filter = ["groups", "is_staff", "is_active"]
    actions = ["reset_second_factors"]

    @action(description=RESET.label, permissions=["change"])
    def reset_second_factors(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, RESET)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002 - Django's name
        known = User.objects.filter(pk=id).first() if id.isdecimal() else None
        before = holders.describe(known) if known is not None else {}
        with transaction.atomic():
            answer = super().user_change_password(request, id, form_url)
            if known is not None:
                known.refresh_from_db()
                _record_change(request, known, before)
        return answer

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if roles.person(request).is_superuser else (*fields, "is_superuser")


@admin.register(Group)
class RoleAdmin(_Bounded, GroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass
