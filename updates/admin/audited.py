"""Settings that staff edit: every change is on the audit trail with its author."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from saga_project.shared import wakeups
from updates.history import audit


class AuditedAdmin(ModelAdmin):
    """Records additions, changes and deletions in the request's own transaction."""

    #: As the audit trail calls it: ``policy`` gives ``policy.changed``.
    audited_as = ""
    list_per_page = 50
    list_select_related = ("service",)
    warn_unsaved_form = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        verb = "changed" if change else "added"
        self._record(request, obj, verb, ", ".join(sorted(form.changed_data)))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._record(request, obj, "deleted", "")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def _record(self, request: HttpRequest, row: Model, verb: str, fields: str) -> None:
        service = getattr(row, "service", None)
        audit.record(
            f"{self.audited_as}.{verb}",
            actor=request.user.get_username(),
            service_name=service.name if service else "",
            data={"what": str(row)[:500], "fields": fields, "id": row.pk},
            at=timezone.now(),
        )
        if service is not None:
            wakeups.ring("updates.apply_policy", service.pk)
