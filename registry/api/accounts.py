"""Service accounts, their tokens, and what a caller's own token may do."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from registry.api.configured import ConfiguredViewSet
from registry.identity import accounts
from registry.models import ServiceAccount, Token
from registry.operations import tokens
from saga_project.shared import api
from saga_project.shared.api import fields, resources

ADMIN, TOKENS = accounts.ADMIN_SCOPE, "tokens:write"


class ScopesField(serializers.ListField):
    def __init__(self, **options: Any) -> None:
        choices = list(accounts.SCOPES)
        super().__init__(child=serializers.ChoiceField(choices=choices), **options)


@extend_schema_field(OpenApiTypes.STR)
class AccountField(serializers.Field[ServiceAccount, str, str, Any]):
    """An account by its name."""

    def to_internal_value(self, data: str) -> ServiceAccount:
        is_text = isinstance(data, str) and "\x00" not in data
        found = ServiceAccount.objects.filter(name=data).first() if is_text else None
        if found is None:
            raise serializers.ValidationError(f"There is no account {str(data)[:128]!r}.")
        return found

    def to_representation(self, value: ServiceAccount) -> str:
        return value.name


# --- Accounts -------------------------------------------------------------------------------------


class AccountShape(resources.RowShape):
    fixed = ("name",)
    name = fields.TextField(max_length=128)
    scopes = ScopesField(required=False)
    services = serializers.ListField(
        child=fields.TextField(max_length=128),
        required=False,
        max_length=1000,
        help_text="The only services that it may change, beside those that its selector selects; without"
        " both: its own and those without an owner.",
    )
    selector = fields.SelectorField(
        help_text="It may change services with these labels, too, such as env=test,team=pay; no != and !."
    )

    class Meta:
        model = ServiceAccount
        fields = (
            "name",
            "description",
            "is_active",
            "is_internal",
            "scopes",
            "services",
            "selector",
            "created_at",
        )
        read_only_fields = ("created_at",)


class AccountFilters(django_filters.FilterSet):
    is_active = resources.ChoiceParameter(
        choices=[("true", "true"), ("false", "false")], method="that_is_active"
    )

    def that_is_active(
        self, rows: QuerySet[ServiceAccount], _name: str, value: str
    ) -> QuerySet[ServiceAccount]:
        return rows.filter(is_active=value == "true")


class AccountViewSet(ConfiguredViewSet):
    """A program that calls Saga. It is switched off, never deleted: its services stay its own."""

    required_scopes = {"GET": ADMIN, "POST": ADMIN, "PATCH": ADMIN}
    requires_token = True
    http_method_names = ["get", "post", "patch", "head", "options"]
    kind = tokens.ACCOUNT
    serializer_class = AccountShape
    pagination_class = resources.pages("accounts")
    filterset_class = AccountFilters
    queryset = ServiceAccount.objects.all()
    lookup_field = "name"


# --- Tokens ---------------------------------------------------------------------------------------


class TokenShape(resources.RowShape):
    account = AccountField(required=False, help_text="Default: the caller's own.")
    scopes = ScopesField(allow_empty=False)
    state = serializers.SerializerMethodField()

    class Meta:
        model = Token
        fields: tuple[str, ...] = (
            "id",
            "account",
            "name",
            "prefix",
            "scopes",
            "state",
            "created_at",
            "last_used_at",
            "expires_at",
            "revoked_at",
        )
        read_only_fields = ("prefix", "created_at", "last_used_at", "revoked_at")

    @extend_schema_field({"type": "string", "enum": ["active", "expired", "revoked"]})
    def get_state(self, row: Token) -> str:
        if row.revoked_at is not None:
            return "revoked"
        is_over = row.expires_at is not None and row.expires_at <= timezone.now()
        return "expired" if is_over else "active"


class IssuedTokenShape(TokenShape):
    token = serializers.CharField(help_text="The token itself, shown this once.")

    class Meta(TokenShape.Meta):
        fields: tuple[str, ...] = (*TokenShape.Meta.fields, "token")


class TokenFilters(django_filters.FilterSet):
    account = django_filters.CharFilter(field_name="account__name", max_length=128)
    prefix = django_filters.CharFilter(max_length=12)
    state = resources.ChoiceParameter(
        choices=[(state, state) for state in ("active", "expired", "revoked")], method="of_state"
    )

    def of_state(self, rows: QuerySet[Token], _name: str, value: str) -> QuerySet[Token]:
        revoked = Q(revoked_at__isnull=False)
        expired = Q(expires_at__lte=timezone.now()) & ~revoked
        wanted = {"revoked": revoked, "expired": expired, "active": ~revoked & ~expired}
        return rows.filter(wanted[value])


class TokenViewSet(ConfiguredViewSet):
    """The tokens of the caller's account; an administrator's are those of all accounts."""

    required_scopes = {"GET": TOKENS, "POST": TOKENS, "DELETE": TOKENS}
    requires_token = True
    http_method_names = ["get", "post", "delete", "head", "options"]
    further_statuses = {}
    serializer_class = TokenShape
    pagination_class = resources.pages("tokens")
    filterset_class = TokenFilters
    queryset = Token.objects.select_related("account")

    def get_queryset(self) -> QuerySet[Token]:
        rows: QuerySet[Token] = super().get_queryset()
        by = self.caller
        return rows if by is None or by.is_admin else rows.filter(account_id=by.account.pk)

    @extend_schema(responses={201: IssuedTokenShape})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        values = self._read(request, is_partial=False)
        by = self.caller
        assert by is not None  # noqa: S101 - requires_token
        account = values.pop("account", by.account)
        token, text = tokens.issue(account, by=by, now=timezone.now(), **values)
        return Response({**self.document(token), "token": text}, status=201)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        tokens.revoke(self.find(), by=self.caller, now=timezone.now())
        return Response(status=204)


# --- The caller -----------------------------------------------------------------------------------


class PresentedTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    prefix = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class MeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="The account, as services and the audit trail name it.")
    kind = serializers.ChoiceField(choices=["service_account", "person"])
    is_administrator = serializers.BooleanField()
    is_internal = serializers.BooleanField()
    scopes = serializers.ListField(child=serializers.CharField())
    services = serializers.ListField(
        child=serializers.CharField(),
        help_text="The only services that it may change, beside the selected; without both: any.",
    )
    selector = serializers.CharField(allow_null=True, help_text="What selects them by label.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the token ends.")
    token = PresentedTokenSerializer(
        allow_null=True, help_text="Null for a JWT and the local token."
    )


class MeView(api.SagaView):
    required_scopes = {}
    requires_token = True
    rejects_unknown_parameters = True

    @extend_schema(
        operation_id="me",
        summary="See what your token may do",
        tags=["accounts"],
        responses={200: MeSerializer},
    )
    def get(self, request: Request) -> Response:
        caller = accounts.caller_of(request.user)
        assert caller is not None  # noqa: S101 - requires_token
        body = {
            "name": str(caller),
            "kind": "service_account" if caller.is_service_account else "person",
            "is_administrator": caller.is_admin,
            "is_internal": caller.account.is_internal,
            "scopes": sorted(caller.scopes),
            "services": caller.account.services,
            "selector": caller.account.selector or None,
            "expires_at": caller.expires_at,
            "token": caller.token,
        }
        return Response(MeSerializer(body).data)
