"""What would happen to a service now, and why."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.errors import ServiceNotFound
from registry.models import Service
from saga_project.shared import api, rules
from saga_project.shared.api import fields
from updates.models import Freeze, MaintenanceWindow, Policy, SelectorPolicy
from updates.policies import coverage, preview
from updates.policies.decision import Evaluation


class EvaluationSerializer(serializers.Serializer[Any]):
    version = serializers.CharField()
    is_eligible = serializers.BooleanField()
    reason = serializers.CharField(allow_null=True, help_text="Why it is not.")
    eligible_at = serializers.DateTimeField(allow_null=True)


class ApplyingSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    origin = serializers.ChoiceField(
        choices=["own", "selector", "global"],
        help_text="Why it applies: it is of this service, selects its labels, or is of every service.",
    )
    selector = serializers.CharField(allow_null=True, help_text="What selects the service.")


class PlanSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    policy = serializers.ChoiceField(choices=Policy.Kind.choices)
    policy_origin = serializers.ChoiceField(
        choices=["own", "selector", "default"],
        help_text="Why it applies: it is the service's own, selects its labels, or is the default.",
    )
    policy_name = serializers.CharField(
        allow_null=True, help_text="Of the selector policy that applies."
    )
    policy_selector = serializers.CharField(allow_null=True)
    current_version = serializers.CharField(allow_null=True)
    latest_version = serializers.CharField(
        allow_null=True, help_text="Of those that the policy accepts."
    )
    action = serializers.ChoiceField(choices=["none", "wait", "approve", "deploy"])
    version = serializers.CharField(allow_null=True, help_text="The release that it is about.")
    reason = serializers.CharField()
    verification = serializers.CharField(
        help_text="What the policy demands of an artifact: a signature, a checksum, or neither."
    )
    windows = ApplyingSerializer(
        many=True, help_text="Its own; else those that select it; else the global ones."
    )
    freezes = ApplyingSerializer(many=True, help_text="All that apply and are not over.")
    next_at = serializers.DateTimeField(
        allow_null=True, help_text="When time may change the answer; null where it will not."
    )
    releases = EvaluationSerializer(many=True, help_text="All that are newer than what runs.")


class PlanView(api.SagaView):
    required_scopes = {"GET": "updates:read"}
    further_statuses = {"GET": (404,)}

    @extend_schema(
        operation_id="get_plan",
        summary="What policy, releases and calendar would do to a service now",
        description="The scheduler does just that.",
        parameters=[fields.text_parameter("service", rule=rules.SERVICE_NAME, required=True)],
        responses=PlanSerializer,
    )
    def get(self, request: Request) -> Response:
        name = names.check_service_name(api.read_text(request, "service") or "", field="service")
        service = Service.objects.filter(name=name).order_by("pk").first()
        if service is None:
            raise ServiceNotFound(f"Service '{name}' not found in registry")
        return Response(_document(preview.plan(service, now=timezone.now())))


def _document(plan: preview.Plan) -> dict[str, Any]:
    decision, reason = plan.decision, coverage.reason_of_policy(plan.policy)
    is_selected = isinstance(plan.policy, SelectorPolicy)
    return {
        "service_name": plan.service.name,
        "policy": plan.policy.kind,
        "policy_origin": reason.origin,
        "policy_name": str(plan.policy) if is_selected else None,
        "policy_selector": reason.selector or None,
        "current_version": plan.current_version,
        "latest_version": plan.latest_version,
        "action": decision.action,
        "version": decision.version,
        "reason": decision.reason,
        "verification": preview.verification(plan.policy),
        "windows": [_applying(row) for row in plan.windows],
        "freezes": [_applying(row) for row in plan.freezes],
        "next_at": api.zulu(decision.next_at),
        "releases": [_verdict(evaluation) for evaluation in decision.evaluations],
    }


def _applying(row: MaintenanceWindow | Freeze) -> dict[str, Any]:
    reason = coverage.reason_of(row)
    return {
        "id": row.pk,
        "name": row.name,
        "origin": reason.origin,
        "selector": reason.selector or None,
    }


def _verdict(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "version": evaluation.version,
        "is_eligible": evaluation.obstacle is None,
        "reason": evaluation.obstacle,
        "eligible_at": api.zulu(evaluation.eligible_at),
    }
