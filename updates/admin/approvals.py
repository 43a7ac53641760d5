"""Updates that wait for a yes or no."""

from __future__ import annotations

from django.contrib import admin
from unfold.decorators import display

from updates.admin.readonly import Journal
from updates.models import Approval


@admin.register(Approval)
class ApprovalAdmin(Journal):
    list_display = [
        "release",
        "shown_state",
        "requested_at",
        "requested_by",
        "decided_at",
        "decided_by",
        "reason",
    ]
    list_select_related = ["release__service", "service"]
    list_filter = ["state"]
    search_fields = ["=service__name"]
    search_help_text = "A service's whole name."

    @display(
        description="State",
        label={"pending": "warning", "approved": "success", "rejected": "danger"},
    )
    def shown_state(self, approval: Approval) -> str:
        return approval.state
