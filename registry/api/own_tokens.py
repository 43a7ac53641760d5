"""The tokens of the caller itself, a person or a program."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.accounts import ScopesField, TokenShape, TokenViewSet
from registry.models import Token


class OwnTokenShape(TokenShape):
    account = None  # type: ignore[assignment]
    scopes = ScopesField(allow_empty=False)

    class Meta(TokenShape.Meta):
        fields: tuple[str, ...] = tuple(
            name for name in TokenShape.Meta.fields if name != "account"
        )


class IssuedOwnTokenShape(OwnTokenShape):
    token = serializers.CharField(help_text="The token itself, shown this once.")

    class Meta(OwnTokenShape.Meta):
        fields: tuple[str, ...] = (*OwnTokenShape.Meta.fields, "token")


@extend_schema_view(
    list=extend_schema(operation_id="list_own_tokens"),
    retrieve=extend_schema(operation_id="get_own_token"),
    destroy=extend_schema(operation_id="revoke_own_token"),
)
class OwnTokenViewSet(TokenViewSet):
    """The tokens of the caller's own account, an administrator's as well.

    A person's token has at most the scopes of its person's roles, at each use anew, and ends within a year.
    """

    serializer_class = OwnTokenShape

    def get_queryset(self) -> QuerySet[Token]:
        by = self.caller
        rows: QuerySet[Token] = super().get_queryset()
        return rows if by is None else rows.filter(account_id=by.account.pk)

    @extend_schema(operation_id="issue_own_token", responses={201: IssuedOwnTokenShape})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().create(request, *args, **kwargs)
