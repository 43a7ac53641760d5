"""Settings that staff edit: the same rules and the same audit entries as over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from registry.admin.managed import MarksManaged
from registry.operations import configured
from registry.operations.configured import Kind


class ConfiguredForm(forms.ModelForm):  # type: ignore[type-arg]
    """Shows what the operation would refuse beside the field that it is about."""

    kind: ClassVar[Kind]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for name, text in configured.find_faults(self.kind, self.instance).items():
            field = name if name in self.fields else None
            self.add_error(field, text if field or name == NON_FIELD_ERRORS else f"{name}: {text}")


class AuditedAdmin(MarksManaged, ModelAdmin):
    """Records additions, changes and deletions in the request's own transaction."""

    kind: ClassVar[Kind]
    list_per_page = 50
    list_select_related: ClassVar[bool | tuple[str, ...]] = ("service",)
    warn_unsaved_form = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        known = type(obj)._meta.default_manager.filter(pk=obj.pk).first() if change else None
        configured.save(
            self.kind,
            obj,
            actor=request.user.get_username(),
            before=configured.describe(known) if known is not None else None,
            now=timezone.now(),
        )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        actor = request.user.get_username()
        configured.delete(self.kind, obj, actor=actor, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.delete_model(request, row)
