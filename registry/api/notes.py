"""The notes that people keep about a service."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names, operations
from registry.identity import accounts
from registry.models import Service
from saga_project.shared import api
from saga_project.shared.api import fields, resources


class NotesSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    notes = serializers.CharField()


class NotesShape(resources.StrictShape):
    notes = fields.TextField(allow_blank=True, max_length=operations.MAX_NOTES)


class NotesView(api.SagaView):
    required_scopes = {"GET": "services:read", "PATCH": "registry:manage"}
    further_statuses = {"PATCH": (412,)}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="get_service_notes",
        summary="See what people wrote down about a service",
        tags=["services"],
        responses={200: NotesSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        service = Service.objects.filter(name=names.check_service_name(name)).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        document = _document(service)
        etag = resources.etag_of(document)
        if resources.is_known(request, etag):
            return Response(status=304, headers={"ETag": etag})
        return Response(document, headers={"ETag": etag})

    @extend_schema(
        operation_id="change_service_notes",
        summary="Write down what people should know about a service",
        tags=["services"],
        request=NotesShape,
        responses={200: NotesSerializer},
    )
    def patch(self, request: Request, name: str) -> Response:
        shape = NotesShape(data=api.body_of(request))
        shape.is_valid(raise_exception=True)
        service = operations.set_notes(
            names.check_service_name(name),
            shape.validated_data["notes"],
            by=accounts.caller_of(request.user),
            now=timezone.now(),
            precondition=lambda row: resources.check_match(request, _document(row)),
        )
        document = _document(service)
        return Response(document, headers={"ETag": resources.etag_of(document)})


def _document(service: Service) -> dict[str, Any]:
    return {"service_name": service.name, "notes": service.notes}
