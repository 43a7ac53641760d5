"""The labels of a service: read, replaced, or changed one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names
from registry.identity import accounts
from registry.models import Service
from registry.operations import labelling
from saga_project.shared import api, labels
from saga_project.shared.api import fields, resources


class ServiceLabelsSerializer(serializers.Serializer[Any]):
    service_name = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())


class LabelsShape(resources.StrictShape):
    labels = serializers.DictField(child=fields.TextField(max_length=63, allow_blank=True))


class LabelChangesShape(resources.StrictShape):
    labels = serializers.DictField(
        child=fields.TextField(max_length=63, allow_blank=True, allow_null=True),
        required=False,
        help_text="A null takes the label away; what is not named stays.",
    )


def _body(service: Service) -> dict[str, Any]:
    return {"service_name": service.name, "labels": service.labels}


class ServiceLabelsView(api.SagaView):
    required_scopes = {
        "GET": "services:read",
        "PUT": "labels:write",
        "PATCH": "labels:write",
    }
    further_statuses = {"PUT": (412,), "PATCH": (412,)}
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="get_service_labels",
        summary="See the labels of a service",
        tags=["services"],
        responses={200: ServiceLabelsSerializer},
    )
    def get(self, request: Request, name: str) -> Response:
        service = Service.objects.filter(name=names.check_service_name(name)).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{name}' not found in registry")
        answer = _answer(service)
        if resources.is_known(request, answer["ETag"]):
            return Response(status=304, headers={"ETag": answer["ETag"]})
        return answer

    @extend_schema(
        operation_id="set_service_labels",
        summary="Replace the labels of a service",
        tags=["services"],
        request=LabelsShape,
        responses={200: ServiceLabelsSerializer},
    )
    def put(self, request: Request, name: str) -> Response:
        given = _read(LabelsShape, request)
        return self._change(request, name, lambda _: given)

    @extend_schema(
        operation_id="change_service_labels",
        summary="Set and take away single labels of a service",
        tags=["services"],
        request=LabelChangesShape,
        responses={200: ServiceLabelsSerializer},
    )
    def patch(self, request: Request, name: str) -> Response:
        given = _read(LabelChangesShape, request)

        def merged(known: Mapping[str, str]) -> dict[str, Any]:
            return {key: value for key, value in {**known, **given}.items() if value is not None}

        return self._change(request, name, merged)

    def _change(self, request: Request, name: str, change: Any) -> Response:
        service = labelling.set_labels(
            names.check_service_name(name),
            change,
            by=accounts.caller_of(request.user),
            now=timezone.now(),
            precondition=lambda row: resources.check_match(request, _body(row)),
        )
        return _answer(service)


def _read(shape_class: type[resources.StrictShape], request: Request) -> dict[str, Any]:
    shape = shape_class(data=api.body_of(request))
    shape.is_valid(raise_exception=True)
    given: dict[str, Any] = shape.validated_data.get("labels", {})
    if len(given) > 2 * labels.MAX_LABELS:
        raise labels.InvalidLabels(f"There may be at most {labels.MAX_LABELS} labels.")
    for key in given:
        labels.KEY.check(key, field="labels")
    return given


def _answer(service: Service) -> Response:
    body = _body(service)
    return Response(body, headers={"ETag": resources.etag_of(body)})
