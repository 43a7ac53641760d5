"""What happened: history, statistics, exports."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.errors import ServiceNotFound
from saga_project.shared import api
from saga_project.shared.api import fields
from updates import errors
from updates.api import attachments
from updates.history import dora, exports, fleets, records, statistics
from updates.models import HistoryEntry

DEFAULT_DORA_WINDOW = "30d"
MAX_WINDOW = dt.timedelta(days=3660)
_WINDOW = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class EntrySerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    old_version = serializers.CharField(allow_null=True)
    new_version = serializers.CharField(allow_null=True)
    timestamp = serializers.DateTimeField(help_text="When it ended.")
    status = serializers.ChoiceField(choices=HistoryEntry.Status.choices)
    duration_seconds = serializers.IntegerField(allow_null=True)
    artifact_url = serializers.CharField(allow_null=True)
    checksum = serializers.CharField(allow_null=True)
    artifact_path = serializers.CharField(allow_null=True)
    backup_path = serializers.CharField(allow_null=True)
    job_id = serializers.CharField(allow_null=True)
    actor = serializers.CharField(allow_null=True, help_text="What asked for it or reported it.")
    trigger = serializers.ChoiceField(choices=["deploy", "policy", "rollback", "reported"])


class HistoryListSerializer(serializers.Serializer[Any]):
    history = EntrySerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")


class ServiceHistorySerializer(HistoryListSerializer):
    service_name = serializers.CharField()
    is_mixed = serializers.BooleanField(
        required=False, help_text="Present and true where live instances run different versions."
    )
    running_versions = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Of a mixed fleet: the number of live instances of each version.",
    )


class ServiceCountSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    update_count = serializers.IntegerField()


class StatisticsSerializer(serializers.Serializer[Any]):
    total_updates = serializers.IntegerField()
    successful_updates = serializers.IntegerField()
    failed_updates = serializers.IntegerField()
    rolled_back_updates = serializers.IntegerField()
    success_rate = serializers.FloatField(help_text="Percent.")
    average_duration_seconds = serializers.FloatField()
    services_updated = ServiceCountSerializer(many=True)


class DoraSerializer(serializers.Serializer[Any]):
    window = serializers.CharField()
    deployments = serializers.IntegerField()
    deployment_frequency_per_day = serializers.FloatField(
        help_text="Of all deployments counted here."
    )
    lead_time_seconds = serializers.IntegerField(
        allow_null=True, help_text="Median, from publication to running."
    )
    change_failure_rate = serializers.FloatField(allow_null=True, help_text="Percent.")
    time_to_restore_seconds = serializers.IntegerField(allow_null=True, help_text="Median.")


SELECTION = [
    OpenApiParameter("status", str, enum=HistoryEntry.Status.values),
    OpenApiParameter("since", dt.datetime, description="From this moment on."),
    OpenApiParameter("until", dt.datetime, description="Up to, not including, this moment."),
]
WINDOW = OpenApiParameter(
    "window",
    {"type": "string", "pattern": "^([1-9][0-9]{0,2}[smhdw])?$"},
    description="Such as 24h, 30d or 12w, back from now.",
)


class HistoryView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="list_history",
        summary="What happened to all services, newest first",
        parameters=[*SELECTION, *fields.PAGE],
        responses=HistoryListSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(_page(request, None))


class ServiceHistoryView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="list_service_history",
        summary="What happened to one service, newest first",
        parameters=[*SELECTION, *fields.PAGE],
        responses=ServiceHistorySerializer,
    )
    def get(self, request: Request, name: str) -> Response:
        page = _page(request, name)
        running = fleets.running_versions(name)
        fleet = {"is_mixed": True, "running_versions": running} if len(running) > 1 else {}
        return Response({"service_name": name, **page, **fleet})


def _page(request: Request, name: str | None) -> dict[str, Any]:
    limit, offset = api.read_limit(request) or 0, api.read_offset(request)
    selection = _selection(request, name)
    rows = records.rows(selection, limit=limit, offset=offset)
    return {
        "history": [exports.document(row) for row in rows],
        "total": records.count(selection),
    }


def _selection(request: Request, name: str | None) -> records.HistorySelection:
    status = api.read_text(request, "status")
    if status is not None and status not in HistoryEntry.Status.values:
        raise errors.InvalidStatus(
            f"'status' is one of {', '.join(HistoryEntry.Status.values)}.", field="status"
        )
    selection = records.HistorySelection(
        service_name=name,
        status=status,
        since=api.read_time(request, "since"),
        until=api.read_time(request, "until"),
    )
    if name is not None and not records.is_known(names.check_service_name(name)):
        raise ServiceNotFound(f"Service '{name}' not found in registry or history")
    return selection


# --- Exports --------------------------------------------------------------------------------------


class ExportView(api.SagaView):
    """The history as an attachment."""

    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="export_history",
        summary="Export the history of all services, newest first",
        description="JSON as the list has it, or CSV by RFC 4180; all rows unless `limit` is given.",
        parameters=[
            *SELECTION,
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
                description="Default: all rows.",
            ),
            OpenApiParameter("format", str, OpenApiParameter.PATH, enum=["json", "csv"]),
        ],
        responses={
            (200, "application/json"): HistoryListSerializer,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, format: str, name: str | None = None) -> StreamingHttpResponse:  # noqa: A002 - the documented name
        if name is not None:
            names.check_service_name(name)
        if format not in ("json", "csv"):
            raise errors.InvalidExportFormat("An export is json or csv.", field="format")
        limit = api.read_integer(
            request, "limit", default=None, minimum=1, maximum=2**31 - 1, error=api.InvalidLimit
        )
        selection = _selection(request, name)
        columns = [exports.CSV_LINE] if format == "csv" else records.COLUMNS.values()
        chunks = attachments.begun(records.stream(selection, limit=limit, columns=columns))
        if format == "csv":
            return _attachment(exports.as_csv(chunks), name, "csv", "text/csv; charset=utf-8")
        body = exports.as_json(name, records.count(selection), chunks)
        return _attachment(body, name, "json", "application/json")


@extend_schema_view(
    get=extend_schema(
        operation_id="export_service_history",
        summary="Export the history of one service, newest first",
    )
)
class ServiceExportView(ExportView):
    """The history of one service."""


def _attachment(
    body: Iterator[bytes], name: str | None, ending: str, content_type: str
) -> StreamingHttpResponse:
    filename = f"{name or 'all-services'}-update-history.{ending}"
    return attachments.respond(body, filename=filename, content_type=content_type)


# --- Statistics -----------------------------------------------------------------------------------


class StatisticsView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="get_statistics",
        summary="What the history adds up to",
        parameters=[WINDOW],
        responses=StatisticsSerializer,
    )
    def get(self, request: Request) -> Response:
        text = api.read_text(request, "window")
        since = timezone.now() - _window(text) if text is not None else None
        found = dataclasses.asdict(statistics.statistics(since=since))
        found["services_updated"] = [
            {"service_name": name, "update_count": count}
            for name, count in found["services_updated"]
        ]
        return Response(found)


class DoraView(api.SagaView):
    required_scopes = {"GET": "updates:read"}

    @extend_schema(
        operation_id="get_dora_metrics",
        summary="Deployment frequency, lead time, change failure rate, time to restore",
        description="By default of the last 30 days.",
        parameters=[WINDOW],
        responses=DoraSerializer,
    )
    def get(self, request: Request) -> Response:
        text = api.read_text(request, "window") or DEFAULT_DORA_WINDOW
        figures = dora.metrics(window=_window(text), now=timezone.now())
        return Response({"window": text, **dataclasses.asdict(figures)})


def _window(text: str) -> dt.timedelta:
    match = _WINDOW.fullmatch(text)
    window = dt.timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if window is None or window > MAX_WINDOW:
        raise errors.InvalidWindow(
            "'window' is a number and s, m, h, d or w, such as 30d, of at most ten years.",
            field="window",
        )
    return window
