"""``apply``, ``export`` and the schema of the document."""

from __future__ import annotations

import functools
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import parsers, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.identity import accounts
from registry.models import MAX_MANAGER_LENGTH
from saga_project.shared import api
from saga_project.shared.api import fields
from saga_project.web import openapi
from saga_project.web.declared import applying, documents, shapes

ADMIN = accounts.ADMIN_SCOPE


class DifferenceSerializer(serializers.Serializer[Any]):
    action = serializers.ChoiceField(choices=["create", "update", "delete", "release"])
    section = serializers.CharField()
    item = serializers.DictField(help_text="Which row it is.")
    before = serializers.DictField()
    after = serializers.DictField(help_text="Secrets are masked.")


class AppliedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    deleted = serializers.IntegerField(help_text="Also services and accounts that were detached.")
    unchanged = serializers.IntegerField()
    changes = DifferenceSerializer(many=True)


class ApplyView(api.SagaView):
    required_scopes = {"POST": ADMIN}
    requires_token = True
    rejects_unknown_parameters = True
    parser_classes: tuple[type[parsers.BaseParser], ...] = (
        api.StrictJSONParser,
        documents.YAMLParser,
        documents.TOMLParser,
    )

    @extend_schema(
        operation_id="apply",
        summary="Make the installation what a document says, in one transaction",
        description="The document is JSON, YAML (`application/yaml`) or TOML (`application/toml`).",
        tags=["configuration"],
        parameters=[
            fields.parameter(
                "dry_run", "Answer the differences, and change nothing.", choices=["true", "false"]
            )
        ],
        request={"application/json": shapes.DocumentShape},
        responses={200: AppliedSerializer},
    )
    def post(self, request: Request) -> Response:
        is_dry_run = api.read_choice(request, "dry_run", ["true", "false"]) == "true"
        caller = accounts.caller_of(request.user)
        assert caller is not None  # noqa: S101 - requires_token
        outline = shapes.OutlineShape(data=api.body_of(request))
        outline.is_valid(raise_exception=True)
        applied = applying.apply(
            outline.validated_data, by=caller, now=timezone.now(), is_dry_run=is_dry_run
        )
        body = {
            "dry_run": is_dry_run,
            "created": applied.count("create"),
            "updated": applied.count("update"),
            "deleted": applied.count("delete") + applied.count("release"),
            "unchanged": applied.unchanged,
            "changes": [vars(difference) for difference in applied.differences],
        }
        return Response(body)


class ExportDocumentView(api.SagaView):
    required_scopes = {"GET": ADMIN}
    requires_token = True
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="export",
        summary="Export the document that recreates this installation",
        tags=["configuration"],
        parameters=[
            fields.parameter("format", "Default: json.", choices=["json", "yaml"]),
            OpenApiParameter(
                "managed_by",
                {"type": "string", "maxLength": MAX_MANAGER_LENGTH},
                description="Only what this file manages.",
            ),
        ],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/yaml"): OpenApiTypes.OBJECT,
        },
    )
    def get(self, request: Request) -> HttpResponse | Response:
        form = api.read_choice(request, "format", ["json", "yaml"])
        manager = api.read_text(request, "managed_by", maximum_length=MAX_MANAGER_LENGTH)
        document = applying.export(manager=manager)
        if form == "yaml":
            return HttpResponse(documents.dump_yaml(document), content_type=documents.YAML)
        return Response(document)


class DocumentSchemaView(api.SagaView):
    required_scopes = {}

    @extend_schema(
        operation_id="apply_schema",
        summary="The JSON Schema of the document, for editors",
        tags=["configuration"],
        responses={(200, "application/schema+json"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(_schema(settings.SAGA_AUTH), content_type="application/schema+json")


@functools.cache
def _schema(auth: str) -> bytes:
    """Return the schema of the request out of the OpenAPI document."""
    known = orjson.loads(openapi.document(auth))["components"]["schemas"]
    root = "DocumentRequest"
    needed, found = [root], {}
    while needed:
        name = needed.pop()
        if name not in found:
            found[name] = _converted(known[name], needed)
    top = found.pop(root)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Saga's configuration",
        **top,
        "$defs": found,
    }
    return orjson.dumps(schema)


def _converted(part: Any, needed: list[str]) -> Any:
    """Return a part with its references as JSON Schema has them, and note the schemas that it refers to."""
    if isinstance(part, list):
        return [_converted(each, needed) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        needed.append(name)
        return {"$ref": f"#/$defs/{name}"}
    return {key: _converted(inner, needed) for key, inner in part.items()}
