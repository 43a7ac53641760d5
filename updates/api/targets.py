"""Targets: where services are installed; secrets are write-only."""

from __future__ import annotations

import re
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import (
    ConfiguredViewSet,
    ServiceFilter,
    ServiceNameField,
    owned_or_unowned,
)
from registry.errors import InvalidRow
from registry.identity import accounts
from saga_project.shared import api, crypto, rules
from saga_project.shared.api import fields, resources
from updates.models import Target
from updates.operations import leftovers, settings
from updates.rollouts import environments

READ, WRITE = "updates:read", "targets:write"
SECRETS = ("deployer_key", "secret_environment")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
READ_ONLY = ("parent", "is_automatic", "is_standby", "current_version", "updated_at")


class TargetShape(resources.RowShape):
    fixed = ("service_name",)
    service_name = ServiceNameField(source="service")
    labels = serializers.DictField(child=fields.TextField(), required=False)
    environment = serializers.DictField(child=fields.TextField(allow_blank=True), required=False)
    installer_options = serializers.DictField(required=False)
    hooks = serializers.DictField(required=False)
    instances = serializers.ListField(required=False, max_length=1000)
    keep_releases = fields.WholeField(required=False, min_value=2, max_value=1000)
    deployer_key = fields.TextField(
        write_only=True,
        required=False,
        allow_null=True,
        max_length=512,
        help_text="Signs the calls to the deployer. Kept encrypted, never shown; null removes it.",
    )
    secret_environment = serializers.DictField(
        child=fields.TextField(allow_blank=True),
        write_only=True,
        required=False,
        help_text="Secret variables of its commands; they replace those that are stored. Never shown.",
    )
    has_deployer_key = serializers.SerializerMethodField()
    secret_names = serializers.SerializerMethodField(help_text="Names of the secret variables.")

    class Meta:
        model = Target
        exclude = ("service", "sealed_deployer_secret", "sealed_environment")
        read_only_fields = READ_ONLY
        extra_kwargs = {"instance_id": {"rule": rules.INSTANCE_ID, "or_empty": True}}

    def get_has_deployer_key(self, row: Target) -> bool:
        return bool(row.sealed_deployer_secret)

    def get_secret_names(self, row: Target) -> list[str]:
        return sorted(environments.unseal(row.sealed_environment))


class TargetFilters(django_filters.FilterSet):
    service = ServiceFilter()
    name = django_filters.CharFilter(max_length=128)
    node = django_filters.CharFilter(max_length=128)
    zone = django_filters.CharFilter(max_length=128)


class TargetViewSet(ConfiguredViewSet):
    """A place where a service is installed. Other accounts than the service's see none of it."""

    required_scopes = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "DELETE": WRITE}
    #: A target decides what runs on its machine: in open mode too, setting one takes a token.
    requires_token = True
    kind = settings.TARGET
    serializer_class = TargetShape
    pagination_class = resources.pages("targets")
    filterset_class = TargetFilters
    queryset = Target.objects.select_related("service")

    def get_queryset(self) -> QuerySet[Target]:
        return super().get_queryset().filter(owned_or_unowned(self.caller))

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.find()
        warnings = leftovers.warnings_of(leftovers.of_target(row))
        self.remove(row, precondition=self.precondition)
        return Response(status=204, headers=api.warning_header(warnings))

    def columns(self, row: Any, values: dict[str, Any]) -> dict[str, Any]:
        columns = {name: value for name, value in values.items() if name not in SECRETS}
        if "deployer_key" in values:
            key = values["deployer_key"]
            columns["sealed_deployer_secret"] = crypto.encrypt(key) if key else ""
        if "secret_environment" in values:
            check_secret_environment(values["secret_environment"])
            columns["sealed_environment"] = environments.seal(values["secret_environment"])
        return columns


def check_secret_environment(values: dict[str, str]) -> None:
    """Raise InvalidRow where a name or value is none of an environment."""
    if fault := environments.fault(values):
        raise InvalidRow(f"secret_environment: {fault}", field="secret_environment")


class StoppingSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["stopping"])
    service_name = serializers.CharField()
    target = serializers.CharField()
    message = serializers.CharField()


class TargetStopView(api.SagaView):
    rejects_unknown_parameters = True
    required_scopes = {"POST": WRITE}
    requires_token = True

    @extend_schema(
        operation_id="stop_target",
        summary="Stop what runs on a target, before it is removed",
        description="The workers of its nodes run its stop hook, stop its unit or remove its container."
        " The event `target.stopped` says how it went, and whether something may still run.",
        tags=["targets"],
        parameters=[OpenApiParameter("id", str, OpenApiParameter.PATH)],
        request=None,
        responses={202: StoppingSerializer},
    )
    def post(self, request: Request, id: str) -> Response:  # noqa: A002 - the parameter's name
        caller = accounts.caller_of(request.user)
        rows = Target.objects.select_related("service").filter(owned_or_unowned(caller))
        row = rows.filter(pk=int(id)).first() if _NUMBER.fullmatch(id) else None
        if row is None:
            raise Http404
        leftovers.stop_target(row, by=caller, now=timezone.now())
        return Response(
            {
                "status": "stopping",
                "service_name": row.service.name,
                "target": row.name,
                "message": "The event target.stopped says how it went.",
            },
            status=202,
        )
