"""Sources: where the releases of each service are published."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import F
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import names
from registry.identity import accounts
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources
from updates import errors, operations
from updates.api import releases
from updates.models import Release, Source
from updates.releases import setup

READ, WRITE = "updates:read", "sources:write"
MAX_SHOWN = 10
PAGES = resources.pages("sources", ordering=("of_service",))
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
SOURCE_ID = OpenApiParameter("source_id", str, OpenApiParameter.PATH)


class SourceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    service_name = serializers.CharField()
    kind = serializers.ChoiceField(choices=Source.Kind.choices)
    location = serializers.CharField()
    base_url = serializers.CharField()
    options = serializers.DictField()
    has_token = serializers.BooleanField(help_text="The token itself is never shown.")
    is_enabled = serializers.BooleanField()
    interval_seconds = serializers.IntegerField()
    last_version = serializers.CharField(allow_null=True)
    last_checked_at = serializers.DateTimeField(allow_null=True)
    next_check_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_null=True)
    failures = serializers.IntegerField(help_text="In a row.")


class SourceListSerializer(serializers.Serializer[Any]):
    sources = SourceSerializer(many=True)
    total = serializers.IntegerField(help_text="Of all matches, not only those on this page.")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class SourceFields(serializers.Serializer[Any]):
    """What of a source may be set, here and in a file."""

    location = fields.TextField(required=False, allow_blank=True, max_length=2048)
    base_url = fields.UrlField(required=False, or_empty=True, max_length=2048)
    options = serializers.DictField(required=False)
    token = fields.TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=8192,
        help_text="Kept when absent, removed when null.",
    )
    is_enabled = fields.FlagField(allow_null=False)
    interval_seconds = fields.WholeField(required=False, min_value=60, max_value=2**31 - 1)


class SourceChangeShape(SourceFields):
    kind = serializers.ChoiceField(choices=Source.Kind.choices, required=False)


class SourceShape(SourceChangeShape):
    service_name = fields.NameField(max_length=128, allow_blank=False)
    url = fields.TextField(
        required=False,
        max_length=2048,
        help_text="Instead of kind and location: the address of the project's page, repository or image.",
    )


class SourceCheckSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    current_version = serializers.CharField(allow_null=True)
    latest_version = serializers.CharField(allow_null=True)
    update_available = serializers.BooleanField()
    warnings = serializers.ListField(child=serializers.CharField())
    releases = releases.ReleaseSerializer(many=True, help_text="The newest on record.")


class SourceListView(api.SagaView):
    required_scopes = {"GET": READ, "POST": WRITE}

    @extend_schema(
        operation_id="list_sources",
        summary="List sources by service",
        tags=["sources"],
        parameters=[
            fields.text_parameter(
                "service", "The one of this service.", rule=rules.SERVICE_NAME, or_empty=True
            ),
            fields.parameter("kind", "Those of one kind.", choices=Source.Kind.values),
            *fields.CURSOR_PAGE,
        ],
        responses={200: SourceListSerializer},
    )
    def get(self, request: Request) -> Response:
        rows = Source.objects.select_related("service").annotate(of_service=F("service__name"))
        if service_name := api.read_text(request, "service"):
            rows = rows.filter(service__name=names.check_service_name(service_name))
        if kind := api.read_choice(request, "kind", Source.Kind.values):
            rows = rows.filter(kind=kind)
        return Response(resources.page_of(request, rows, by=PAGES, shown=_body))

    @extend_schema(
        operation_id="add_source",
        summary="Give a service its source",
        tags=["sources"],
        request=SourceShape,
        responses={201: SourceSerializer},
    )
    def post(self, request: Request) -> Response:
        values = _read(SourceShape, request)
        service_name = names.check_service_name(values.pop("service_name"))
        values = _recognised(values.pop("url", "")) | values
        source = operations.add_source(
            service_name, values, by=accounts.caller_of(request.user), now=timezone.now()
        )
        return Response(_body(source), status=201)


class SourceView(api.SagaView):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(
        operation_id="get_source",
        summary="See a source and how its last check went",
        tags=["sources"],
        parameters=[SOURCE_ID],
        responses={200: SourceSerializer},
    )
    def get(self, request: Request, source_id: str) -> Response:
        return Response(_body(_find(source_id)))

    @extend_schema(
        operation_id="change_source",
        summary="Change a source",
        tags=["sources"],
        parameters=[SOURCE_ID],
        request=SourceChangeShape,
        responses={200: SourceSerializer},
    )
    def patch(self, request: Request, source_id: str) -> Response:
        values = _read(SourceChangeShape, request)
        by = accounts.caller_of(request.user)
        source = operations.change_source(_find(source_id), values, by=by, now=timezone.now())
        return Response(_body(source))

    @extend_schema(
        operation_id="remove_source",
        summary="Delete a source; its releases stay on record",
        tags=["sources"],
        parameters=[SOURCE_ID],
        responses={204: None},
    )
    def delete(self, request: Request, source_id: str) -> Response:
        by = accounts.caller_of(request.user)
        operations.remove_source(_find(source_id), by=by, now=timezone.now())
        return Response(status=204)


class SourceCheckView(api.SagaView):
    required_scopes = {"POST": WRITE}
    further_statuses = {"POST": (502,)}
    calls_out = True

    @extend_schema(
        operation_id="check_source",
        summary="Ask a source now, and show what is on record",
        tags=["sources"],
        parameters=[SOURCE_ID],
        request=None,
        responses={200: SourceCheckSerializer},
    )
    def post(self, request: Request, source_id: str) -> Response:
        service = _find(source_id).service
        by = accounts.caller_of(request.user)
        accounts.check_may_change(by, service.name, owner_id=service.account_id)
        result = operations.check(service)
        newest = Release.objects.select_related("service").filter(service=service)
        return Response(
            {
                "service_name": result.service_name,
                "current_version": result.current_version,
                "latest_version": result.latest_version,
                "update_available": result.is_update_available,
                "warnings": list(result.warnings),
                "releases": [
                    releases.body(row) for row in newest.order_by("-recorded_at", "-pk")[:MAX_SHOWN]
                ],
            }
        )


def _read(shape_class: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    shape = shape_class(data=api.body_of(request))
    shape.is_valid(raise_exception=True)
    return dict(shape.validated_data)


def _recognised(url: str) -> dict[str, Any]:
    if not url:
        return {}
    found = setup.recognise(url)
    if found is None:
        raise errors.InvalidSource(
            f"'url' {url[:200]!r} is the address of no source that is known: name its 'kind' and 'location'.",
            field="url",
        )
    return {**vars(found), "options": dict(found.options)}


def _find(source_id: str) -> Source:
    is_number = _NUMBER.fullmatch(source_id) is not None
    rows = Source.objects.select_related("service")
    source = rows.filter(pk=int(source_id)).first() if is_number else None
    if source is None:
        raise errors.SourceNotFound(f"There is no source {source_id[:64]!r}.")
    return source


def _body(source: Source) -> dict[str, Any]:
    return {
        "id": source.pk,
        "service_name": source.service.name,
        "kind": source.kind,
        "location": source.location,
        "base_url": source.base_url,
        "options": source.options,
        "has_token": bool(source.sealed_token),
        "is_enabled": source.is_enabled,
        "interval_seconds": source.interval_seconds,
        "last_version": source.last_version or None,
        "last_checked_at": api.zulu(source.last_checked_at),
        "next_check_at": api.zulu(source.next_check_at),
        "last_error": source.last_error or None,
        "failures": source.failures,
    }
