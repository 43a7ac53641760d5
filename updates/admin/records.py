"""Jobs, history and the audit trail: read, never edited."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from updates.admin.readonly import Journal
from updates.models import AuditEntry, HistoryEntry, Job

STATUS_LABELS = {
    Job.Status.SUCCEEDED: "success",
    Job.Status.FAILED: "danger",
    Job.Status.ROLLED_BACK: "warning",
    Job.Status.ROLLING_BACK: "warning",
    Job.Status.PAUSED: "warning",
    Job.Status.RUNNING: "info",
    Job.Status.QUEUED: "info",
    HistoryEntry.Status.SUCCESS: "success",
}


@admin.register(Job)
class JobAdmin(Journal):
    list_display = [
        "job_id",
        "service",
        "version",
        "previous_version",
        "strategy",
        "shown_status",
        "progress",
        "created_at",
        "requested_by",
    ]
    list_select_related = ["service"]
    list_filter = ["status", "needs_attention", "kind", "strategy"]
    search_fields = ["job_id", "=service__name"]
    search_help_text = "A part of the deployment's name, or a service's whole name."

    @display(description="Status", label=STATUS_LABELS)
    def shown_status(self, job: Job) -> tuple[str, str]:
        return job.status, job.get_status_display()


@admin.register(HistoryEntry)
class HistoryAdmin(Journal):
    list_display = [
        "service_name",
        "old_version",
        "new_version",
        "shown_status",
        "kind",
        "timestamp",
        "duration_seconds",
        "recorded_by",
    ]
    list_filter = ["status", "kind"]
    search_fields = ["=service_name"]
    search_help_text = "A service's whole name."

    @display(description="Status", label=STATUS_LABELS)
    def shown_status(self, entry: HistoryEntry) -> tuple[str, str]:
        return entry.status, entry.get_status_display()


@admin.register(AuditEntry)
class AuditAdmin(Journal):
    list_display = ["sequence", "at", "actor", "action", "service_name", "data"]
    search_fields = ["=service_name", "=actor", "=action"]
    search_help_text = "A service, a person or an action, in full."
