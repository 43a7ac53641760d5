"""Viewsets of resources: list, show, make, change and delete rows.

A subclass names its scopes, its shape, its pages and its filters, and says in ``make``, ``change`` and
``remove`` which operations do it. A change is held to ``If-Match`` inside the operation's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import Http404
from django_filters.rest_framework import ChoiceFilter, DjangoFilterBackend
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from saga_project.shared.api import bodies, fields, parameters, views
from saga_project.shared.api.resources import etags

Precondition = Callable[[Any], None]


class ResourceViewSet(views.SagaView, viewsets.GenericViewSet[Any]):
    """Lists rows and shows one of them."""

    filter_backends = (DjangoFilterBackend,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action is not None:  # a method that the route does not have is 405
            self._check_parameters(request)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        document = self.document(self.find())
        etag = etags.etag_of(document)
        if etags.is_known(request, etag):
            return Response(status=304, headers={"ETag": etag})
        return Response(document, headers={"ETag": etag})

    def find(self) -> Any:
        """Return the row that the address names; 404 where there is none that the caller may see."""
        wanted = self.lookup()
        if any("\0" in str(value) for value in wanted.values()):  # which PostgreSQL refuses
            raise Http404
        try:
            row = self.get_queryset().filter(**wanted).first()
        except (ValueError, TypeError, ValidationError):
            row = None
        if row is None:
            raise Http404
        return row

    def lookup(self) -> dict[str, Any]:
        """Return the filter that finds the row of this address."""
        return {self.lookup_field: self.kwargs[self.lookup_url_kwarg or self.lookup_field]}

    def document(self, row: Model) -> dict[str, Any]:
        return dict(self.get_serializer(row).data)

    def known_parameters(self) -> set[str]:
        """Return the query parameters of the list."""
        filterset = getattr(self, "filterset_class", None)
        return {"limit", "cursor", *(filterset.base_filters if filterset else ())}

    def _check_parameters(self, request: Request) -> None:
        known = set(self.own_parameters)
        if self.action == "list":
            known |= self.known_parameters()
        for name in request.query_params:
            if name not in known:
                there_are = f"there are {', '.join(sorted(known))}" if known else "there are none"
                raise parameters.InvalidParameter(
                    f"'{name}' is no parameter of this route; {there_are}.", field=name
                )
            self._check_choice(name, request.query_params[name])

    def _check_choice(self, name: str, text: str) -> None:
        """Refuse a choice that is left empty: a filter that a script forgot to fill would list everything."""
        declared = getattr(self, "filterset_class", None)
        field = declared and declared.base_filters.get(name)
        if text == "" and isinstance(field, ChoiceFilter):
            choices = ", ".join(str(value) for value, _ in field.extra["choices"])
            raise parameters.InvalidParameter(f"'{name}' is one of {choices}.", field=name)


class ChangeableViewSet(ResourceViewSet):
    """Also makes, changes and deletes rows."""

    further_statuses: ClassVar[Mapping[str, tuple[int, ...]]] = {"PATCH": (412,), "DELETE": (412,)}

    def make(self, values: dict[str, Any]) -> Any:
        """Return the new row with these values."""
        raise NotImplementedError

    def change(self, row: Any, values: dict[str, Any], *, precondition: Precondition) -> Any:
        """Return the row with these values; ``precondition`` is called with the locked row."""
        raise NotImplementedError

    def remove(self, row: Any, *, precondition: Precondition) -> None:
        """Delete the row; ``precondition`` is called with the locked row."""
        raise NotImplementedError

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        values = self._read(request, is_partial=False)
        return self._shown(self.make(values), status=201)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.find()
        values = self._read(request, is_partial=True)
        return self._shown(self.change(row, values, precondition=self.precondition))

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.remove(self.find(), precondition=self.precondition)
        return Response(status=204)

    def precondition(self, row: Any) -> None:
        """Raise PreconditionFailed where the caller read another state of the row."""
        etags.check_match(self.request, self.document(row))

    def _read(self, request: Request, *, is_partial: bool) -> dict[str, Any]:
        shape = self.get_serializer(data=bodies.body_of(request), partial=is_partial)
        shape.is_valid(raise_exception=True)
        fields.hold_to_rules(shape)
        return dict(shape.validated_data)

    def _shown(self, row: Any, *, status: int = 200) -> Response:
        document = self.document(row)
        return Response(document, status=status, headers={"ETag": etags.etag_of(document)})
