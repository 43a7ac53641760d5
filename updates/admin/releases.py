"""Releases: their state changes by actions, each with a reason."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from saga_project.shared.admin import verbs
from saga_project.shared.admin.readonly import Journal
from updates import operations
from updates.models import Release
from updates.policies import comparison


def _quarantine(request: HttpRequest, release: Release, reason: str) -> None:
    by = request.user.get_username()
    operations.quarantine(release, by=by, reason=reason, at=timezone.now())


def _withdraw(request: HttpRequest, release: Release, reason: str) -> None:
    by = request.user.get_username()
    operations.withdraw(release, by=by, reason=reason, at=timezone.now())


def _make_available(request: HttpRequest, release: Release, reason: str) -> None:
    by = request.user.get_username()
    operations.make_available(release, by=by, reason=reason, at=timezone.now())


def _deploy(request: HttpRequest, release: Release, _reason: str) -> None:
    _queue(request, release, override=None)


def _deploy_anyway(request: HttpRequest, release: Release, reason: str) -> None:
    override = operations.Override(by=request.user.get_username(), reason=reason)
    _queue(request, release, override=override)


def _queue(request: HttpRequest, release: Release, *, override: operations.Override | None) -> None:
    policy = comparison.policy_of(release.service)
    operations.deploy_or_ask(
        release.service,
        operations.Announcement(version=release.version),
        by=request.user.get_username(),
        strategy=policy.strategy,
        options=policy.strategy_options,
        exemptions=operations.GateExemptions(override=override),
    )


QUARANTINE = verbs.Verb(
    name="quarantine_releases",
    label="Quarantine",
    consequences=["No policy deploys these releases until staff make them available again."],
    done="Quarantined",
    does=_quarantine,
    choices=[verbs.REQUIRED_REASON],
)
WITHDRAW = verbs.Verb(
    name="withdraw_releases",
    label="Withdraw",
    consequences=["These releases cannot be deployed until staff make them available again."],
    done="Withdrawn",
    does=_withdraw,
    choices=[verbs.REQUIRED_REASON],
)
RELEASE = verbs.Verb(
    name="make_releases_available",
    label="Make available again",
    consequences=["Policies may deploy these releases again, also those that failed before."],
    done="Available",
    does=_make_available,
    choices=[verbs.REASON],
)
DEPLOY = verbs.Verb(
    name="deploy_releases",
    label="Deploy",
    consequences=[
        "Each of these releases is deployed to its service, by the strategy of its policy."
    ],
    done="Deployment queued",
    does=_deploy,
)
DEPLOY_ANYWAY = verbs.Verb(
    name="deploy_releases_anyway",
    label="Deploy despite the calendar",
    consequences=[
        "Freezes and maintenance windows are overridden; your reason goes on the audit trail."
    ],
    done="Deployment queued despite the calendar",
    does=_deploy_anyway,
    choices=[verbs.REQUIRED_REASON],
)


@admin.register(Release)
class ReleaseAdmin(Journal):
    list_display = (
        "version",
        "service",
        "state_label",
        "channel",
        "origin",
        "published_at",
        "recorded_at",
    )
    list_filter = ("state", "origin", "artifact_type", "is_prerelease")
    list_select_related = ("service",)
    search_fields = ("service__name", "version", "checksum")
    date_hierarchy = "recorded_at"
    ordering = ("-recorded_at", "-pk")
    actions = (
        "deploy_releases",
        "deploy_releases_anyway",
        "quarantine_releases",
        "withdraw_releases",
        "make_releases_available",
    )

    def has_move_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.move_release"))

    def has_deploy_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.add_job"))

    def has_override_permission(self, request: HttpRequest) -> bool:
        return self.has_deploy_permission(request) and bool(
            request.user.has_perm("updates.override_calendar")
        )

    @display(
        description="State",
        ordering="state",
        label={"Available": "success", "Quarantined": "danger", "Withdrawn": "warning"},
    )
    def state_label(self, release: Release) -> str:
        return Release.State(release.state).label

    @action(description="Deploy", permissions=["deploy"])
    def deploy_releases(
        self, request: HttpRequest, queryset: QuerySet[Release]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, DEPLOY)

    @action(description="Deploy despite the calendar, with a reason", permissions=["override"])
    def deploy_releases_anyway(
        self, request: HttpRequest, queryset: QuerySet[Release]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, DEPLOY_ANYWAY)

    @action(description="Quarantine, with a reason", permissions=["move"])
    def quarantine_releases(
        self, request: HttpRequest, queryset: QuerySet[Release]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, QUARANTINE)

    @action(description="Withdraw, with a reason", permissions=["move"])
    def withdraw_releases(
        self, request: HttpRequest, queryset: QuerySet[Release]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, WITHDRAW)

    @action(description="Make available again", permissions=["move"])
    def make_releases_available(
        self, request: HttpRequest, queryset: QuerySet[Release]
    ) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, RELEASE)
