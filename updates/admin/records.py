"""Jobs, history and the audit trail, read-only; a correction is a row of its own."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from saga_project.shared.admin import exports, verbs
from updates import operations
from updates.models import AuditEntry, HistoryEntry, Job


def _correct_to(status: str) -> Callable[[HttpRequest, HistoryEntry, str], None]:
    def correct(request: HttpRequest, entry: HistoryEntry, reason: str) -> None:
        operations.correct(
            entry,
            changes={"status": status},
            by=request.user.get_username(),
            reason=reason,
            now=timezone.now(),
        )

    return correct


def _correction(status: HistoryEntry.Status) -> verbs.RowVerb:
    return verbs.Verb(
        name=f"correct_to_{status.value}",
        label=f"Correct to {status.label.lower()}",
        consequences=["A new row takes the place of each of these; the old ones stay on record."],
        done=f"Corrected to {status.label.lower()}",
        does=_correct_to(status.value),
        choices=[verbs.REQUIRED_REASON],
    )


CORRECTIONS = {status: _correction(status) for status in HistoryEntry.Status}


@admin.register(Job)
class JobAdmin(exports.ExportedJournal):
    export_related = ("service",)
    export_columns = exports.columns(
        "job_id",
        "kind",
        "version",
        "previous_version",
        "strategy",
        "status",
        "progress",
        "requested_by",
        "created_at",
        "finished_at",
        "error",
        service_name=lambda job: job.service.name,
    )
    list_display = (
        "job_id",
        "service",
        "version",
        "previous_version",
        "strategy",
        "status_label",
        "progress",
        "created_at",
        "requested_by",
    )
    list_select_related = ("service",)
    list_filter = ("status", "needs_attention", "kind", "strategy", "created_at")
    search_fields = ("job_id", "=service__name")
    search_help_text = "A part of the deployment's name, or a service's whole name."

    @display(
        description="Status",
        label={
            "succeeded": "success",
            "failed": "danger",
            "rolled_back": "warning",
            "rolling_back": "warning",
            "paused": "warning",
            "running": "info",
            "queued": "info",
        },
    )
    def status_label(self, job: Job) -> tuple[str, str]:
        return job.status, job.get_status_display()


@admin.register(HistoryEntry)
class HistoryEntryAdmin(exports.ExportedJournal):
    export_columns = exports.columns(
        "id",
        "service_name",
        "kind",
        "status",
        "old_version",
        "new_version",
        "running_version",
        "timestamp",
        "started_at",
        "duration_seconds",
        "job_id",
        "detail",
        "recorded_by",
        "corrects_id",
    )
    list_display = (
        "timestamp",
        "service_name",
        "old_version",
        "new_version",
        "status_label",
        "kind",
        "duration_seconds",
        "is_corrected",
    )
    list_filter = ("status", "kind", "timestamp")
    list_select_related = ("correction",)
    search_fields = ("=service_name", "=new_version", "=job_id")
    search_help_text = "A service's name, a version, or a job's id, written out."
    ordering = ("-timestamp", "-pk")
    actions = ("correct_to_success", "correct_to_failed", "correct_to_rolled_back")

    def has_correct_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.correct_historyentry"))

    @display(
        description="Status",
        ordering="status",
        label={"Success": "success", "Failed": "danger", "Rolled Back": "warning"},
    )
    def status_label(self, entry: HistoryEntry) -> str:
        return HistoryEntry.Status(entry.status).label

    @display(description="Corrected")
    def is_corrected(self, entry: HistoryEntry) -> str:
        return "by a later row" if hasattr(entry, "correction") else ""

    @action(description="Correct to success, with a reason", permissions=["correct"])
    def correct_to_success(
        self, request: HttpRequest, queryset: QuerySet[HistoryEntry]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, CORRECTIONS[HistoryEntry.Status.SUCCESS])

    @action(description="Correct to failed, with a reason", permissions=["correct"])
    def correct_to_failed(
        self, request: HttpRequest, queryset: QuerySet[HistoryEntry]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, CORRECTIONS[HistoryEntry.Status.FAILED])

    @action(description="Correct to rolled back, with a reason", permissions=["correct"])
    def correct_to_rolled_back(
        self, request: HttpRequest, queryset: QuerySet[HistoryEntry]
    ) -> HttpResponse | None:
        return verbs.carry_out(
            self, request, queryset, CORRECTIONS[HistoryEntry.Status.ROLLED_BACK]
        )


@admin.register(AuditEntry)
class AuditEntryAdmin(exports.ExportedJournal):
    export_columns = exports.columns(
        "sequence",
        "at",
        "actor",
        "action",
        "service_name",
        "data",
        "previous_digest",
        "digest",
    )
    list_display = ("sequence", "at", "actor", "action", "service_name", "data")
    list_filter = ("action", "at")
    search_fields = ("=service_name", "=actor", "=action")
    search_help_text = "A service, a person or an action, in full."
    ordering = ("-sequence",)
