"""Approvals: what awaits one, and the decision of a second account."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.identity import accounts, grants
from registry.identity.accounts import Caller
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources
from updates import errors, operations
from updates.models import Approval, ApprovalDecision

SCOPE = "approvals:decide"
PAGES = resources.pages("approvals", ordering=("-id",))
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class ApprovalDecisionSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=ApprovalDecision.Verdict.choices)
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField()
    way = serializers.ChoiceField(choices=ApprovalDecision.Way.choices)
    token_prefix = serializers.CharField(allow_null=True, help_text="How the token begins.")
    reason = serializers.CharField(allow_null=True)


class ApprovalSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    service_name = serializers.CharField()
    version = serializers.CharField()
    kind = serializers.ChoiceField(choices=["deploy", "rollback"])
    state = serializers.ChoiceField(choices=Approval.State.choices)
    strategy = serializers.CharField(allow_null=True, help_text="Null: the one of the policy.")
    artifact_url = serializers.CharField(allow_null=True)
    checksum = serializers.CharField(allow_null=True)
    requested_at = serializers.DateTimeField()
    requested_by = serializers.CharField(allow_null=True, help_text="Null: the policy asks.")
    request_reason = serializers.CharField(allow_null=True)
    required_approvals = serializers.IntegerField(help_text="Of different people or accounts.")
    decisions = ApprovalDecisionSerializer(
        many=True, help_text="Of each person or account, oldest first."
    )
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When it expires undecided. Null: never."
    )
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField(
        allow_null=True, help_text="All that approved it, or the one that rejected it."
    )
    reason = serializers.CharField(allow_null=True, help_text="The reason of the decision.")
    job_id = serializers.CharField(allow_null=True)


class ApprovalListSerializer(serializers.Serializer[Any]):
    approvals = ApprovalSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class ApproveSerializer(serializers.Serializer[Any]):
    reason = fields.TextField(required=False, allow_null=True, allow_blank=True, max_length=1000)
    override_reason = fields.TextField(
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="Deploy despite freezes, windows and quarantine; takes admin:registry.",
    )


class RejectSerializer(serializers.Serializer[Any]):
    reason = fields.TextField(max_length=1000)


class ApprovalListView(api.SagaView):
    rejects_unknown_parameters = True
    required_scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="list_approvals",
        summary="List approvals, newest first",
        tags=["approvals"],
        parameters=[
            fields.text_parameter(
                "service", "Those of one service.", rule=rules.SERVICE_NAME, or_empty=True
            ),
            fields.parameter("state", "Those in one state.", choices=Approval.State.values),
            *fields.CURSOR_PAGE,
        ],
        responses={200: ApprovalListSerializer},
    )
    def get(self, request: Request) -> Response:
        rows = _visible(accounts.caller_of(request.user))
        if service_name := api.read_text(request, "service"):
            rows = rows.filter(service__name=names.check_service_name(service_name))
        if state := api.read_choice(request, "state", Approval.State.values):
            rows = rows.filter(state=state)
        return Response(resources.page_of(request, rows, by=PAGES, shown=approval_body))


class ApprovalView(api.SagaView):
    rejects_unknown_parameters = True
    required_scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="get_approval",
        summary="See an approval",
        tags=["approvals"],
        parameters=[OpenApiParameter("approval_id", str, OpenApiParameter.PATH)],
        responses={200: ApprovalSerializer},
    )
    def get(self, request: Request, approval_id: str) -> Response:
        return Response(approval_body(_find(approval_id, by=accounts.caller_of(request.user))))


class ApproveView(api.SagaView):
    rejects_unknown_parameters = True
    required_scopes = {"POST": SCOPE}
    requires_token = True

    @extend_schema(
        operation_id="approve",
        summary="Approve what another account, a person or the policy asks for",
        tags=["approvals"],
        parameters=[OpenApiParameter("approval_id", str, OpenApiParameter.PATH)],
        request=ApproveSerializer,
        responses={200: ApprovalSerializer},
    )
    def post(self, request: Request, approval_id: str) -> Response:
        shape = ApproveSerializer(data=fields.given(api.body_of(request)))
        shape.is_valid(raise_exception=True)
        caller = accounts.caller_of(request.user)
        approval = _find(approval_id, by=caller)
        operations.approve(
            approval,
            by=str(caller),
            reason=shape.validated_data.get("reason", ""),
            **_decider(caller),
            override=operations.override_of(caller, shape.validated_data.get("override_reason")),
            now=timezone.now(),
        )
        approval.refresh_from_db()
        return Response(approval_body(approval))


class RejectView(api.SagaView):
    rejects_unknown_parameters = True
    required_scopes = {"POST": SCOPE}
    requires_token = True

    @extend_schema(
        operation_id="reject",
        summary="Reject a deployment or rollback, with a reason",
        tags=["approvals"],
        parameters=[OpenApiParameter("approval_id", str, OpenApiParameter.PATH)],
        request=RejectSerializer,
        responses={200: ApprovalSerializer},
    )
    def post(self, request: Request, approval_id: str) -> Response:
        shape = RejectSerializer(data=fields.given(api.body_of(request)))
        shape.is_valid(raise_exception=True)
        caller = accounts.caller_of(request.user)
        approval = _find(approval_id, by=caller)
        reason = shape.validated_data["reason"]
        operations.reject(
            approval, by=str(caller), reason=reason, now=timezone.now(), **_decider(caller)
        )
        return Response(approval_body(approval))


def _decider(caller: Caller | None) -> dict[str, Any]:
    token = caller.token if caller else None
    return {
        "account": caller.account if caller else None,
        "token_prefix": token.prefix if token else "",
        "way": ApprovalDecision.Way.API,
    }


def _visible(caller: Caller | None) -> QuerySet[Approval]:
    """Return the approvals of services that the caller may touch; an account may be limited to some."""
    rows = Approval.objects.select_related("release", "service").prefetch_related("decisions")
    if caller is None or caller.is_admin:
        return rows
    return rows.filter(grants.granted(caller.account, prefix="service__"))


def _find(approval_id: str, *, by: Caller | None) -> Approval:
    is_number = _NUMBER.fullmatch(approval_id) is not None
    approval = _visible(by).filter(pk=int(approval_id)).first() if is_number else None
    if approval is None:
        raise errors.ApprovalNotFound(f"There is no approval {approval_id[:64]!r}.")
    return approval


def approval_body(approval: Approval) -> dict[str, Any]:
    release = approval.release
    return {
        "id": approval.pk,
        "service_name": approval.service.name,
        "version": release.version,
        "kind": approval.kind,
        "state": approval.state,
        "strategy": approval.strategy or None,
        "artifact_url": release.artifact_url or None,
        "checksum": release.checksum or None,
        "requested_at": api.zulu(approval.requested_at),
        "requested_by": approval.requested_by or None,
        "request_reason": approval.details.get("reason") or None,
        "required_approvals": approval.required_approvals,
        "decisions": [
            {
                "verdict": each.verdict,
                "decided_by": each.decided_by,
                "decided_at": api.zulu(each.decided_at),
                "way": each.way,
                "token_prefix": each.token_prefix or None,
                "reason": each.reason or None,
            }
            for each in approval.decisions.all()
        ],
        "expires_at": api.zulu(approval.expires_at),
        "decided_at": api.zulu(approval.decided_at),
        "decided_by": approval.decided_by or None,
        "reason": approval.reason or None,
        "job_id": approval.job_id or None,
    }
