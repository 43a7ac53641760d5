"""The API of rows that are configured: whose they are, and by which operation they change."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry import errors, names
from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Service, manager_of
from registry.operations import configured
from registry.operations.configured import Kind, Precondition
from saga_project.shared import api, rules
from saga_project.shared.api import fields, resources


@extend_schema_field(fields.schema_of(rules.SERVICE_NAME))
class ServiceNameField(serializers.Field[Service, str, str, Any]):
    """A service by its name; one that does not exist is 404."""

    def to_internal_value(self, data: str) -> Service:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be the name of a service.")
        service = Service.objects.filter(name=names.check_service_name(data)).first()
        if service is None:
            raise errors.ServiceNotFound(f"Service '{data}' not found in registry")
        return service

    def to_representation(self, value: Service) -> str:
        return value.name


@extend_schema_field(fields.schema_of(rules.SERVICE_NAME, or_empty=True))
class ServiceFilter(django_filters.CharFilter):
    """Rows of one service."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"field_name": "service__name", "label": "Of one service.", **options})

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if value:
            names.check_service_name(value)
        rows: QuerySet[Any] = super().filter(qs, value)
        return rows


def owned_or_unowned(by: Caller | None) -> Q:
    """Return the filter for rows whose service the caller may change, and for those of no service."""
    if by is not None and not by.is_bound_by_ownership:
        return Q()
    is_unowned = Q(service=None) | Q(service__account=None)
    return is_unowned if by is None else is_unowned | Q(service__account_id=by.account.pk)


def managed_warning(manager: str) -> dict[str, str]:
    """Return the header that names the file whose next apply overwrites a change; none without a file."""
    sentence = f"Managed by the file {manager}: its next apply overwrites this."
    return api.warning_header([sentence]) if manager else {}


class ConfiguredViewSet(resources.ChangeableViewSet):
    """Rows of one kind, which the admin shows and changes as well."""

    kind: ClassVar[Kind]
    #: The file whose next apply overwrites what this request changes.
    _managed_by = ""

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if answer.status_code < 400:
            for name, value in managed_warning(self._managed_by).items():
                answer[name] = value
        return answer

    @property
    def caller(self) -> Caller | None:
        return accounts.caller_of(self.request.user)

    def make(self, values: dict[str, Any]) -> Any:
        row = self.kind.model(**self.columns(None, values))
        return configured.add(self.kind, row, by=self.caller, now=timezone.now())

    def change(self, row: Any, values: dict[str, Any], *, precondition: Precondition) -> Any:
        self._managed_by = manager_of(row)
        return configured.change(
            self.kind,
            row.pk,
            self.columns(row, values),
            by=self.caller,
            now=timezone.now(),
            precondition=precondition,
        )

    def remove(self, row: Any, *, precondition: Precondition) -> None:
        self._managed_by = manager_of(row)
        configured.remove(
            self.kind, row.pk, by=self.caller, now=timezone.now(), precondition=precondition
        )

    def columns(self, row: Any, values: dict[str, Any]) -> dict[str, Any]:
        """Return the columns that these values set on ``row``, which is None for a new one."""
        return values
