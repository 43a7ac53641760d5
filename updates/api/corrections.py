"""Entries of the history, by number, and corrections: an entry is never edited, another takes its place."""

from __future__ import annotations

import re
from typing import Any

import django_filters
from django.db.models import F
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ServiceFilter
from registry.identity import accounts
from registry.operations import configured
from saga_project.shared import api
from saga_project.shared.api import fields, resources
from saga_project.shared.errors import NotFound
from updates import operations
from updates.models import HistoryEntry

READ = "updates:read"
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class HistoryEntrySerializer(serializers.ModelSerializer[HistoryEntry]):
    corrects = serializers.IntegerField(
        source="corrects_id", allow_null=True, help_text="The entry whose place this one takes."
    )
    corrected_by = serializers.IntegerField(
        source="correction_id", allow_null=True, help_text="The entry that takes its place."
    )

    class Meta:
        model = HistoryEntry
        fields = (
            "id",
            "service_name",
            "kind",
            "status",
            "old_version",
            "new_version",
            "running_version",
            "timestamp",
            "started_at",
            "duration_seconds",
            "job_id",
            "detail",
            "recorded_by",
            "recorded_at",
            "corrects",
            "corrected_by",
        )


class HistoryEntryFilters(django_filters.FilterSet):
    service = ServiceFilter(field_name="service_name")
    status = resources.ChoiceParameter(choices=HistoryEntry.Status.choices)
    since = resources.TimeParameter(field_name="timestamp", lookup_expr="gte")
    until = resources.TimeParameter(field_name="timestamp", lookup_expr="lt")


class HistoryEntryViewSet(resources.ResourceViewSet):
    """Entries of the history, the newest first, corrected ones as well."""

    required_scopes = {"GET": READ}
    serializer_class = HistoryEntrySerializer
    pagination_class = resources.pages("entries", ordering=("-id",))
    filterset_class = HistoryEntryFilters
    queryset = HistoryEntry.objects.annotate(correction_id=F("correction__id"))


class CorrectionShape(resources.StrictShape):
    status = serializers.ChoiceField(choices=HistoryEntry.Status.choices, required=False)
    old_version = fields.TextField(required=False, allow_null=True, max_length=128)
    new_version = fields.TextField(required=False, allow_null=True, max_length=128)
    running_version = fields.TextField(required=False, allow_null=True, max_length=128)
    duration_seconds = fields.WholeField(
        required=False, allow_null=True, min_value=0, max_value=2**31 - 1
    )
    reason = fields.TextField(max_length=1000)


class CorrectionView(api.SagaView):
    """As in the console, corrections are the administrators': statistics count them."""

    required_scopes = {"POST": accounts.ADMIN_SCOPE}
    requires_token = True
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="correct_history_entry",
        summary="Correct an entry: another one takes its place, both stay on record",
        tags=["history-entries"],
        parameters=[OpenApiParameter("entry_id", str, OpenApiParameter.PATH)],
        request=CorrectionShape,
        responses={201: HistoryEntrySerializer},
    )
    def post(self, request: Request, entry_id: str) -> Response:
        shape = CorrectionShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        changes: dict[str, Any] = dict(shape.validated_data)
        reason = changes.pop("reason")
        if not changes:
            raise api.InvalidParameter("Name what is corrected, such as 'status'.", field="status")
        corrected = operations.correct(
            _find(entry_id),
            changes=changes,
            by=configured.actor_of(accounts.caller_of(request.user)),
            reason=reason,
            now=timezone.now(),
        )
        shown = HistoryEntryViewSet.queryset.get(pk=corrected.pk)
        return Response(HistoryEntrySerializer(shown).data, status=201)


def _find(entry_id: str) -> HistoryEntry:
    is_number = _NUMBER.fullmatch(entry_id) is not None
    entry = HistoryEntry.objects.filter(pk=int(entry_id)).first() if is_number else None
    if entry is None:
        raise NotFound(f"There is no history entry {entry_id[:64]!r}.")
    return entry
