"""Where releases are published, how the last check went, and when the next one is."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget

from registry.identity import accounts
from saga_project.shared.admin import verbs
from updates import operations
from updates.admin.audited import AuditedAdmin
from updates.models import Source
from updates.operations import settings
from updates.releases import setup


def _check_now(_request: HttpRequest, source: Source, _reason: str) -> None:
    operations.check(source.service)


CHECK = verbs.Verb(
    name="check_now",
    label="Check now",
    consequences=["These sources are asked for new releases now, one after the other."],
    done="Checked",
    does=_check_now,
)


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    token = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(render_value=False),
        help_text="Stored encrypted, never shown. For OCI: user:password. Empty keeps what is stored.",
    )
    forgets_token = forms.BooleanField(required=False, label="Forget the stored token")

    class Meta:
        model = Source
        fields = (
            "service",
            "kind",
            "location",
            "base_url",
            "options",
            "is_enabled",
            "interval_seconds",
            "crontab",
        )
        labels = {"base_url": "Base URL", "is_enabled": "Enabled"}
        help_texts = {
            "kind": "Announced: CI reports releases by webhook; no source is polled.",
            "interval_seconds": "Seconds between two checks; a tenth of it is left to chance.",
        }

    def _post_clean(self) -> None:
        """Show what the API would refuse beside the field that it is about."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            for name, fault in setup.faults(self.instance).items():
                self.add_error(name, fault)


@admin.register(Source)
class SourceAdmin(AuditedAdmin):
    kind = settings.SOURCE
    form = SourceForm
    list_display = (
        "service",
        "kind",
        "location",
        "state",
        "last_version",
        "last_checked_at",
        "next_check_at",
    )
    list_filter = ("kind", "is_enabled")
    search_fields = ("service__name", "location")
    autocomplete_fields = ("service",)
    actions = ("check_now",)
    actions_list = ("connect",)
    actions_detail = ("found",)
    readonly_fields = ("state", "last_version", "last_checked_at", "next_check_at", "last_error")
    fieldsets = (
        (None, {"fields": ("service", ("kind", "location"), "base_url", "options")}),
        ("Token", {"fields": ("token", "forgets_token")}),
        ("When", {"fields": ("is_enabled", "interval_seconds", "crontab")}),
        ("Checks", {"fields": readonly_fields}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> Any:
        """A source stays with its service."""
        return ("service", *self.readonly_fields) if obj is not None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        values = {name: getattr(obj, name) for name in operations.SETTABLE_OF_SOURCE}
        if form.cleaned_data["token"] or form.cleaned_data["forgets_token"]:
            forgets = form.cleaned_data["forgets_token"]
            values["token"] = "" if forgets else form.cleaned_data["token"]
        by, now = accounts.staff(request.user.get_username()), timezone.now()
        if change:
            operations.change_source(obj, values, by=by, now=now)
        else:
            obj.pk = operations.add_source(obj.service.name, values, by=by, now=now).pk

    def delete_model(self, request: HttpRequest, obj: Source) -> None:
        by = accounts.staff(request.user.get_username())
        operations.remove_source(obj, by=by, now=timezone.now())

    def has_run_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("updates.change_source"))

    @display(
        description="State",
        label={"checking": "info", "failing": "danger", "well": "success", "off": "default"},
    )
    def state(self, source: Source) -> str:
        if source.lease_expires_at and source.lease_expires_at > timezone.now():
            return "checking"
        if not source.is_enabled:
            return "off"
        if source.last_error:
            return "failing"
        return "well" if source.last_checked_at else "not yet"

    def has_connect_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_add_permission(request))

    @action(description="Connect a source", url_path="connect-source", permissions=["connect"])
    def connect(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:console_source_connect"))

    @action(description="What was found", url_path="found")
    def found(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:console_source", args=[object_id]))

    @action(description="Check now", permissions=["run"])
    def check_now(self, request: HttpRequest, queryset: QuerySet[Source]) -> HttpResponse | None:
        return verbs.carry_out(self, request, queryset.select_related("service"), CHECK)
