"""The audit trail: what was changed, by which account or person, and the proof that the record is whole."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ServiceFilter
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources
from updates import errors
from updates.api import attachments
from updates.history import audit, audit_exports
from updates.models import AuditEntry

READ = "audit:read"
CONTENT_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class AuditEntrySerializer(serializers.Serializer[Any]):
    sequence = serializers.IntegerField(help_text="1, 2, 3 … without a gap.")
    at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="The account, or the person.")
    action = serializers.CharField(help_text="Such as `policy.changed`.")
    service_name = serializers.CharField(help_text="Empty where it concerns no single service.")
    request_id = serializers.CharField()
    address = serializers.CharField(help_text="Where the request came from.")
    token = serializers.CharField(help_text="How the caller's token begins.")
    data = serializers.DictField(  # type: ignore[assignment]
        help_text="`before` and `after`, a reason, and the like."
    )
    previous_digest = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of the entry and the digest before it.")

    def to_representation(self, instance: AuditEntry) -> dict[str, Any]:
        return audit_exports.document(instance)


class AuditFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    actor = django_filters.CharFilter(max_length=255)
    action = django_filters.CharFilter(
        method="with_action", max_length=64, label="Such as policy.changed, or policy.*"
    )
    request_id = django_filters.CharFilter(field_name="data__request_id", max_length=128)
    since = resources.TimeParameter(field_name="at", lookup_expr="gte")
    until = resources.TimeParameter(field_name="at", lookup_expr="lt")

    def with_action(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        pattern = ".*".join(re.escape(part) for part in value.split("*"))
        return rows.filter(action__regex=f"^{pattern}$")


FILTERS = [
    fields.text_parameter("service", rule=rules.SERVICE_NAME, or_empty=True),
    OpenApiParameter("actor", {"type": "string", "maxLength": 255}),
    OpenApiParameter(
        "action",
        {"type": "string", "maxLength": 64},
        description="Such as policy.changed, or policy.*",
    ),
    OpenApiParameter("request_id", {"type": "string", "maxLength": 128}),
    OpenApiParameter("since", OpenApiTypes.DATETIME),
    OpenApiParameter("until", OpenApiTypes.DATETIME),
]


class AuditViewSet(resources.ResourceViewSet):
    """Entries, the newest first. There is no way to change or delete one."""

    required_scopes = {"GET": READ}
    serializer_class = AuditEntrySerializer
    pagination_class = resources.pages("entries", ordering="-sequence")
    filterset_class = AuditFilters
    queryset = AuditEntry.objects.all()
    lookup_url_kwarg = "sequence"


class AuditExportView(api.SagaView):
    required_scopes = {"GET": READ}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="export_audit",
        summary="Export the audit trail, the oldest entry first",
        tags=["audit"],
        parameters=[
            *FILTERS,
            OpenApiParameter("format", str, OpenApiParameter.PATH, enum=list(CONTENT_TYPES)),
        ],
        responses={
            (200, "application/jsonl"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, format: str) -> StreamingHttpResponse:  # noqa: A002 - as history
        if format not in CONTENT_TYPES:
            raise errors.InvalidExportFormat("An export is jsonl or csv.", field="format")
        chosen = AuditFilters(request.query_params, queryset=AuditEntry.objects.all())
        if not chosen.is_valid():
            raise serializers.ValidationError(chosen.errors)
        pages = attachments.begun(audit_exports.chunks(chosen.qs))
        write = audit_exports.as_csv if format == "csv" else audit_exports.as_json_lines
        return attachments.respond(
            write(pages), filename=f"audit.{format}", content_type=CONTENT_TYPES[format]
        )


class ChainVerdictSerializer(serializers.Serializer[Any]):
    is_intact = serializers.BooleanField()
    entries = serializers.IntegerField(help_text="How many were found intact.")
    last_digest = serializers.CharField(help_text="Note it elsewhere: it proves the end later.")
    fault = serializers.CharField(allow_null=True, help_text="Where the chain breaks first.")


class AuditVerifyView(api.SagaView):
    required_scopes = {"GET": READ}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="verify_audit",
        summary="Verify the chain of digests of the whole audit trail",
        tags=["audit"],
        parameters=[
            OpenApiParameter(
                "expect_digest",
                {"type": "string", "pattern": "^([0-9a-f]{64})?$"},
                description="A last digest noted earlier, which must still be in the chain.",
            )
        ],
        responses={200: ChainVerdictSerializer},
    )
    def get(self, request: Request) -> Response:
        noted = api.read_text(request, "expect_digest")
        if noted is not None and _DIGEST.fullmatch(noted) is None:
            raise api.InvalidParameter(
                "'expect_digest' has 64 hexadecimal digits.", field="expect_digest"
            )
        verdict = audit.verify(noted_digest=noted)
        return Response({"is_intact": verdict.fault is None, **dataclasses.asdict(verdict)})
