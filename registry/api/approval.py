"""Whether a service is approved for lookups, and the decision about it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names, operations
from registry.identity import accounts, grants
from registry.identity.accounts import Caller
from registry.models import Service
from saga_project.shared import api
from saga_project.shared.api import fields, resources

APPROVE, REJECT = "approve", "reject"


class StandingSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    status = serializers.ChoiceField(choices=Service.Status.choices)
    status_reason = serializers.CharField()
    is_auto_approved = serializers.BooleanField()
    approved_at = serializers.DateTimeField(allow_null=True)
    approved_by = serializers.CharField()


class StandingDecisionShape(resources.StrictShape):
    decision = serializers.ChoiceField(choices=[APPROVE, REJECT])
    reason = fields.TextField(
        required=False, allow_blank=True, max_length=1000, help_text="A rejection needs one."
    )


class ServiceApprovalView(api.SagaView):
    required_scopes = {"GET": "services:read", "POST": "approvals:decide"}
    #: An account decides, and is recorded with the decision.
    requires_token = True
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="get_service_approval",
        summary="See whether lookups may find a service, and why",
        tags=["services"],
        responses={200: StandingSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(_body(_find(name)))

    @extend_schema(
        operation_id="decide_service_approval",
        summary="Approve or reject a service",
        tags=["services"],
        request=StandingDecisionShape,
        responses={200: StandingSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        shape = StandingDecisionShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        caller = accounts.caller_of(request.user)
        assert caller is not None  # noqa: S101 - requires_token
        _check_may_decide(_find(name), caller)
        reason = shape.validated_data.get("reason", "").strip()
        if shape.validated_data["decision"] == APPROVE:
            operations.approve(name, by=str(caller), now=timezone.now())
        elif not reason:
            raise errors.InvalidRow("'reason' must say why.", field="reason")
        else:
            operations.reject(name, by=str(caller), reason=reason, now=timezone.now())
        return Response(_body(_find(name)))


def _check_may_decide(service: Service, caller: Caller) -> None:
    """Raise OwnService unless another account or an administrator decides; ServiceNotGranted."""
    if caller.is_admin:
        return
    if service.account_id is not None and service.account_id == caller.account.pk:
        raise errors.OwnService("The service is your own: another account decides about it.")
    if not grants.is_granted(caller.account, service.name, service_labels=service.labels):
        raise errors.ServiceNotGranted(f"Account '{caller}' may not decide about '{service.name}'.")


def _find(name: str) -> Service:
    service = Service.objects.filter(name=names.check_service_name(name)).first()
    if service is None:
        raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
    return service


def _body(service: Service) -> dict[str, Any]:
    return {
        "service_name": service.name,
        "status": service.status,
        "status_reason": service.status_reason,
        "is_auto_approved": service.is_auto_approved,
        "approved_at": api.zulu(service.approved_at),
        "approved_by": service.approved_by,
    }
