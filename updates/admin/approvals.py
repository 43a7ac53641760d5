"""Approvals that policies request from staff."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from saga_project.shared.admin import verbs
from saga_project.shared.admin.readonly import Journal
from updates import operations
from updates.models import Approval


def _approve(request: HttpRequest, approval: Approval, reason: str) -> None:
    by = request.user.get_username()
    operations.approve(approval, by=by, reason=reason, now=timezone.now())


def _reject(request: HttpRequest, approval: Approval, reason: str) -> None:
    by = request.user.get_username()
    operations.reject(approval, by=by, reason=reason, now=timezone.now())


APPROVE = verbs.Verb(
    name="approve_updates",
    label="Approve",
    consequences=["These releases are deployed as soon as the calendar allows."],
    done="Approved",
    does=_approve,
    choices=[verbs.REASON],
)
REJECT = verbs.Verb(
    name="reject_updates",
    label="Reject",
    consequences=["No policy deploys these releases any more."],
    done="Rejected",
    does=_reject,
    choices=[verbs.REQUIRED_REASON],
)


@admin.register(Approval)
class ApprovalAdmin(Journal):
    list_display = (
        "service",
        "version",
        "state_label",
        "requested_at",
        "requested_by",
        "required_approvals",
        "expires_at",
        "decided_by",
        "decided_at",
        "reason",
        "job_id",
    )
    list_filter = ("state",)
    list_select_related = ("service", "release", "release__service")
    search_fields = ("service__name", "release__version", "decided_by", "reason")
    date_hierarchy = "requested_at"
    actions = ("approve_updates", "reject_updates")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.decide_approval"))

    @display(description="Version", ordering="release__version")
    def version(self, approval: Approval) -> str:
        return approval.release.version

    @display(
        description="State",
        ordering="state",
        label={
            "Pending": "info",
            "Approved": "success",
            "Rejected": "danger",
            "Superseded": "default",
            "Expired": "warning",
        },
    )
    def state_label(self, approval: Approval) -> str:
        return Approval.State(approval.state).label

    @action(description="Approve", permissions=["decide"])
    def approve_updates(
        self, request: HttpRequest, queryset: QuerySet[Approval]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, APPROVE)

    @action(description="Reject, with a reason", permissions=["decide"])
    def reject_updates(
        self, request: HttpRequest, queryset: QuerySet[Approval]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, REJECT)
