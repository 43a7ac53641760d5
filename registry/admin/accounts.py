"""Service accounts, and the tokens that they own."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from registry import names
from registry.admin.managed import MarksManaged
from registry.identity import accounts, grants
from registry.models import ServiceAccount, Token
from registry.operations import configured, tokens
from saga_project.shared import rules
from saga_project.shared.admin import readonly, verbs

SCOPE_CHOICES = [(scope, f"{scope}: {meaning}") for scope, meaning in accounts.SCOPES.items()]


def _revoke(request: HttpRequest, token: Token, _reason: str) -> None:
    tokens.revoke(token, by=accounts.staff(request.user.get_username()), now=timezone.now())


REVOKE = verbs.Verb(
    name="revoke_tokens",
    label="Revoke",
    consequences=["Calls with these tokens are rejected from now on. This cannot be undone."],
    done="Revoked",
    does=_revoke,
)


def standing_of(token: Token, *, now: dt.datetime) -> str:
    if token.revoked_at is not None:
        return "Revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "Expired"
    return "Active"


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=SCOPE_CHOICES, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )
    services = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="One name a line: the only services that it may change. Empty: its own and unowned ones.",
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
        )
        labels = {"is_active": "Active", "is_internal": "Internal"}
        help_texts = {
            "is_active": "Without it none of its tokens is accepted.",
            "description": "Its operator and its purpose.",
            "selector": "Services with these labels as well, such as env=test,team=pay; no != and !.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["services"] = "\n".join(self.instance.services)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not names.is_name(name):
            raise forms.ValidationError("Use A-Z a-z 0-9 . _ - and begin with a letter or digit.")
        return name

    def clean_services(self) -> list[str]:
        try:
            return [
                names.check_service_name(line) for line in self.cleaned_data["services"].split()
            ]
        except rules.InvalidServiceName as exc:
            raise forms.ValidationError(exc.message) from exc

    def clean_selector(self) -> str:
        selector: str = self.cleaned_data["selector"]
        if found := grants.fault(selector):
            raise forms.ValidationError(found)
        return selector


class TokenForm(forms.Form):
    """A new token of one account, with no scope that the account lacks."""

    name = forms.CharField(
        required=False,
        max_length=128,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What it is for.",
    )
    scopes = forms.MultipleChoiceField(widget=UnfoldAdminCheckboxSelectMultipleWidget())
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=3650,
        initial=90,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="How many days it is good for; empty: until it is revoked.",
    )

    def __init__(self, account: ServiceAccount, data: Any = None) -> None:
        super().__init__(data)
        scopes = self.fields["scopes"]
        assert isinstance(scopes, forms.MultipleChoiceField)  # noqa: S101  (for the type checker)
        scopes.choices = [choice for choice in SCOPE_CHOICES if choice[0] in account.scopes]


class TokenInline(TabularInline):
    model = Token
    fields = ("prefix", "name", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")
    readonly_fields = fields
    can_delete = False
    max_num = 0
    show_change_link = True
    tab = True


@admin.register(ServiceAccount)
class ServiceAccountAdmin(MarksManaged, ModelAdmin):
    form = AccountForm
    list_display = (
        "name",
        "is_active",
        "is_internal",
        "scopes",
        "selector",
        "token_count",
        "created_at",
    )
    list_filter = ("is_active", "is_internal")
    list_per_page = 50
    search_fields = ("name", "description")
    date_hierarchy = "created_at"
    inlines = (TokenInline,)
    actions_detail = ("issue_token",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceAccount]:
        good = Q(tokens__revoked_at__isnull=True) & (
            Q(tokens__expires_at__isnull=True) | Q(tokens__expires_at__gt=timezone.now())
        )
        rows: QuerySet[ServiceAccount] = super().get_queryset(request)
        return rows.annotate(good_tokens=Count("tokens", filter=good))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # The name is how its services and logs know it.
        return ["name", "created_at"] if obj is not None else ["created_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # switch it off instead: its services stay its own

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        known = ServiceAccount.objects.filter(pk=obj.pk).first() if change else None
        configured.save(
            tokens.ACCOUNT,
            obj,
            actor=request.user.get_username(),
            before=configured.describe(known) if known is not None else None,
            now=timezone.now(),
        )

    def has_issue_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("registry.add_token"))

    @display(description="Good tokens", ordering="good_tokens")
    def token_count(self, account: Any) -> int:
        return int(account.good_tokens)

    @action(description="Issue a token", permissions=["issue"], url_path="issue-token")
    def issue_token(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = get_object_or_404(ServiceAccount, pk=object_id)
        form = TokenForm(account, request.POST if request.method == "POST" else None)
        by = accounts.staff(request.user.get_username())
        text = _issue(account, form, by=by) if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": f"A token for {account}",
            "opts": self.model._meta,
            "form": form,
            "account": account,
            "text": text,
            "back_url": reverse("admin:registry_serviceaccount_change", args=[account.pk]),
        }
        return TemplateResponse(request, "admin/registry/issue_token.html", context)


def _issue(account: ServiceAccount, form: TokenForm, *, by: accounts.Caller) -> str:
    days, now = form.cleaned_data["days"], timezone.now()
    _, text = tokens.issue(
        account,
        scopes=form.cleaned_data["scopes"],
        expires_at=now + dt.timedelta(days=days) if days else None,
        name=form.cleaned_data["name"],
        by=by,
        now=now,
    )
    return text


class StandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, str], ...]:
        return (("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Token]) -> QuerySet[Token]:
        revoked = Q(revoked_at__isnull=False)
        expired = Q(expires_at__lte=timezone.now()) & ~revoked
        wanted = {"active": ~revoked & ~expired, "expired": expired, "revoked": revoked}
        return queryset.filter(wanted.get(self.value() or "", Q()))


@admin.register(Token)
class TokenAdmin(readonly.ReadOnly):
    list_display = (
        "prefix",
        "account",
        "name",
        "standing",
        "scopes",
        "last_used_at",
        "expires_at",
        "created_at",
    )
    list_filter = (StandingFilter,)
    list_select_related = ("account",)
    list_per_page = 50
    search_fields = ("prefix", "name", "account__name")
    date_hierarchy = "created_at"
    exclude = ("digest",)
    actions = ("revoke_tokens",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.change_token"))

    @display(
        description="Standing",
        label={"Active": "success", "Expired": "warning", "Revoked": "danger"},
    )
    def standing(self, token: Token) -> str:
        return standing_of(token, now=timezone.now())

    @action(description="Revoke", permissions=["revoke"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[Token]) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset, REVOKE)
