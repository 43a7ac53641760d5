"""Policies for new releases, and the exceptions to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from registry.models import Service
from saga_project.shared import labels
from updates.admin.audited import AuditedAdmin, ConfiguredForm
from updates.models import Hold, Policy, PolicyRules, SelectorPolicy
from updates.operations import settings
from updates.policies import preview


class PolicyForm(ConfiguredForm):
    kind = settings.POLICY

    class Meta:
        labels = {"allows_prereleases": "Pre-releases, too", "minimum_age_seconds": "Minimum age"}
        help_texts = {
            "kind": "Manual: people deploy. Approve: staff are asked. Auto: the scheduler deploys."
            " Pinned: nothing changes by itself.",
            "allows_prereleases": "Such as 2.0.0-rc.1.",
            "minimum_age_seconds": "In seconds, by its source's own time; a release without one waits.",
            "strategy_options": 'Such as {"max_unavailable": 1}; {} for the strategy\'s own ways.',
            "metrics": "Sampled while a deployment runs; a bad one rolls it back. See docs/deployments.md.",
            "requires_checksum": "A release without a digest of its artifact is refused.",
            "requires_signature": "A release that none of the keys has signed is refused.",
        }

    def clean_metrics(self) -> Any:
        return self.cleaned_data["metrics"] or []

    def clean_strategy_options(self) -> Any:
        return self.cleaned_data["strategy_options"] or {}


class HoldForm(ConfiguredForm):
    kind = settings.HOLD


#: The fields of what a policy says, whichever services it is for.
RULES: Any = (
    (
        "Approvals",
        {
            "fields": (
                "requires_second_person",
                ("required_approvals", "approval_expires_after_hours"),
            )
        },
    ),
    (
        "Which releases",
        {
            "fields": (
                "version_range",
                ("version_scheme", "version_pattern"),
                "channel",
                "allows_prereleases",
                "minimum_age_seconds",
            )
        },
    ),
    ("How", {"fields": ("strategy", "strategy_options", "metrics")}),
    ("Proofs", {"fields": ("requires_checksum", "requires_signature", "signing_keys")}),
)


class PolicyLook(AuditedAdmin):
    """What lists of policies of both kinds show."""

    @display(
        description="Kind",
        ordering="kind",
        label={"Auto": "success", "Approve": "info", "Manual": "default", "Pinned": "warning"},
    )
    def kind_label(self, policy: PolicyRules) -> str:
        return Policy.Kind(policy.kind).label


@admin.register(Policy)
class PolicyAdmin(PolicyLook):
    kind = settings.POLICY
    form = PolicyForm
    list_display = (
        "service",
        "kind_label",
        "version_range",
        "minimum_age_seconds",
        "strategy",
        "requires_second_person",
        "updated_at",
    )
    list_filter = ("kind", "strategy", "allows_prereleases")
    search_fields = ("service__name",)
    ordering = ("service__name",)
    autocomplete_fields = ("service",)
    readonly_fields = ("next_step",)
    fieldsets = (
        (None, {"fields": ("service", "kind", "next_step")}),
        *RULES,
    )

    @display(description="What would happen now")
    def next_step(self, policy: Policy) -> str:
        if policy.pk is None:
            return "Save it to see."
        decision = preview.plan(policy.service, now=timezone.now()).decision
        return f"{decision.action}: {decision.reason}"


class SelectorPolicyForm(PolicyForm):
    kind = settings.SELECTOR_POLICY


@admin.register(SelectorPolicy)
class SelectorPolicyAdmin(PolicyLook):
    kind = settings.SELECTOR_POLICY
    form = SelectorPolicyForm
    list_select_related = False
    list_display = ("name", "selector", "priority", "kind_label", "version_range", "strategy")
    list_filter = ("kind", "strategy")
    search_fields = ("name", "selector")
    readonly_fields = ("applies_to",)
    fieldsets = (
        (None, {"fields": ("name", "selector", "priority", "kind", "applies_to")}),
        *RULES,
    )

    @display(description="Services that it selects")
    def applies_to(self, policy: SelectorPolicy) -> str:
        if policy.pk is None:
            return "Save it to see."
        selected = Service.objects.filter(labels.parse(policy.selector).condition())
        own = selected.exclude(policy=None).count()
        return f"{selected.count()}, of which {own} have a policy of their own"


@admin.register(Hold)
class HoldAdmin(AuditedAdmin):
    kind = settings.HOLD
    form = HoldForm
    list_display = ("service", "what", "expires_at", "reason", "created_by", "created_at")
    search_fields = ("service__name", "version", "reason")
    date_hierarchy = "created_at"
    autocomplete_fields = ("service",)
    fields = ("service", "version", "expires_at", "reason")

    def save_model(self, request: HttpRequest, obj: Hold, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)

    @display(description="Holds back")
    def what(self, hold: Hold) -> str:
        return hold.version or "every version"
