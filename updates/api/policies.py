"""Policies for new releases, and the versions that are skipped."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from rest_framework import serializers

from registry.api.configured import ConfiguredViewSet, ServiceFilter, ServiceNameField
from saga_project.shared.api import fields, resources
from updates.models import Hold, Policy, SelectorPolicy
from updates.operations import settings

READ, WRITE = "updates:read", "policies:write"
#: What a policy says, whichever services it is for.
RULES = (
    "kind",
    "version_range",
    "version_scheme",
    "version_pattern",
    "channel",
    "allows_prereleases",
    "minimum_age_seconds",
    "strategy",
    "strategy_options",
    "metrics",
    "requires_checksum",
    "requires_second_person",
    "required_approvals",
    "approval_expires_after_hours",
    "requires_signature",
    "signing_keys",
    "updated_at",
)


class PolicyShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(source="service")
    strategy_options = serializers.DictField(required=False)
    metrics = serializers.ListField(child=serializers.DictField(), required=False, max_length=100)

    class Meta:
        model = Policy
        fields = (
            "service_name",
            *RULES,
        )
        read_only_fields = ("updated_at",)


class PolicyFilters(django_filters.FilterSet):
    service = ServiceFilter()
    kind = resources.ChoiceParameter(choices=Policy.Kind.choices)


class PolicyViewSet(ConfiguredViewSet):
    """What becomes of a new release of a service; one without has one by label, or the defaults."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    kind = settings.POLICY
    serializer_class = PolicyShape
    pagination_class = resources.pages("policies")
    filterset_class = PolicyFilters
    queryset = Policy.objects.select_related("service")
    lookup_field = "service__name"
    lookup_url_kwarg = "service_name"


class SelectorPolicyShape(resources.RowShape):
    fixed = ("name",)
    name = fields.TextField(max_length=128)
    selector = fields.SelectorField(
        required=True, allow_null=False, help_text="Of services with such labels, such as env=prod."
    )
    priority = fields.WholeField(
        required=False,
        min_value=-32768,
        max_value=32767,
        help_text="Of several that select a service, the highest applies; then the one with the most"
        " conditions, then the oldest. Default: 0.",
    )
    strategy_options = serializers.DictField(required=False)
    metrics = serializers.ListField(child=serializers.DictField(), required=False, max_length=100)

    class Meta:
        model = SelectorPolicy
        fields = ("name", "selector", "priority", *RULES)
        read_only_fields = ("updated_at",)


class SelectorPolicyFilters(django_filters.FilterSet):
    kind = resources.ChoiceParameter(choices=Policy.Kind.choices)


class SelectorPolicyViewSet(ConfiguredViewSet):
    """A policy for services by label, which applies to those that have none of their own."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    kind = settings.SELECTOR_POLICY
    serializer_class = SelectorPolicyShape
    pagination_class = resources.pages("selector_policies")
    filterset_class = SelectorPolicyFilters
    queryset = SelectorPolicy.objects.all()
    lookup_field = "name"


class SkipShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(source="service")
    version = fields.VersionField(
        required=False, or_empty=True, max_length=128, help_text="Empty: every version."
    )

    class Meta:
        model = Hold
        fields = (
            "id",
            "service_name",
            "version",
            "expires_at",
            "reason",
            "created_by",
            "created_at",
        )
        read_only_fields = ("created_by", "created_at")


class SkipFilters(django_filters.FilterSet):
    service = ServiceFilter()
    version = django_filters.CharFilter(max_length=128)


class SkipViewSet(ConfiguredViewSet):
    """A version that no policy deploys; without a version all updates of the service are snoozed."""

    required_scopes: ClassVar[dict[str, str]] = {
        "GET": READ,
        "POST": WRITE,
        "PATCH": WRITE,
        "DELETE": WRITE,
    }
    kind = settings.HOLD
    serializer_class = SkipShape
    pagination_class = resources.pages("skips")
    filterset_class = SkipFilters
    queryset = Hold.objects.select_related("service")

    def columns(self, row: Any, values: dict[str, Any]) -> dict[str, Any]:
        return values if row is not None else {**values, "created_by": str(self.caller or "")}
