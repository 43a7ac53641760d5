"""Connect a source by the address of a project's page, ask it, and show what was found."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

import updates.operations
from registry.identity import accounts
from registry.models import manager_of
from saga_project.console import roles
from saga_project.shared.errors import SagaError
from updates.models import Release, Source
from updates.releases import setup

RELEASES_SHOWN = 10
UNKNOWN = (
    "No source is known at this address. Paste the address of a repository, an image or a package's page,"
    " or choose the kind yourself under Sources → Add."
)


class ConnectForm(forms.Form):
    """What a newcomer knows: the service, and where its project is."""

    service_name = forms.CharField(label="Service", max_length=128)
    url = forms.CharField(
        label="Address",
        max_length=2048,
        help_text="Such as https://github.com/acme/payment, ghcr.io/acme/payment:1.4 or a PyPI page.",
    )
    asset = forms.CharField(
        label="File",
        required=False,
        help_text="A glob, where a release has several files: *-linux-amd64.tar.gz",
    )
    tag_prefix = forms.CharField(
        label="Tag prefix",
        required=False,
        help_text="Where the repository has several packages: payment-",
    )
    token = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="For private ones. Stored encrypted, never shown. For images: user:password.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("url"):
            cleaned["found"] = setup.recognise(cleaned["url"])
            if cleaned["found"] is None:
                self.add_error("url", UNKNOWN)
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return the columns of the source that the form describes."""
        found: setup.Setup = self.cleaned_data["found"]
        own = {name: self.cleaned_data[name] for name in ("asset", "tag_prefix")}
        options = {**found.options, **{name: text for name, text in own.items() if text}}
        token = {"token": self.cleaned_data["token"]} if self.cleaned_data["token"] else {}
        return {**vars(found), "options": options, **token}


def connect(request: HttpRequest) -> HttpResponse:
    roles.demand(request, roles.ADD_SOURCE)
    form = ConnectForm(
        request.POST or None, initial={"service_name": request.GET.get("service", "")}
    )
    if request.method == "POST" and form.is_valid():
        source = _add(request, form)
        if source is not None:
            _check(request, source)
            return HttpResponseRedirect(_link(source))
    context = {
        **admin.site.each_context(request),
        "title": "Connect a source",
        "sg_list": "updates.source",
        "form": form,
    }
    return TemplateResponse(request, "console/connect_source.html", context)


def _add(request: HttpRequest, form: ConnectForm) -> Source | None:
    """Add the source; what is refused stands beside the field that it is about."""
    by = accounts.staff(roles.person(request).get_username())
    try:
        return updates.operations.add_source(
            form.cleaned_data["service_name"], form.values(), by=by, now=timezone.now()
        )
    except SagaError as exc:
        named = {"location": "url", "base_url": "url", "options": "asset"}
        field = named.get(exc.field or "", exc.field)
        form.add_error(field if field in form.fields else None, exc.message)
        return None


def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show a source with what it found; a POST asks it now."""
    roles.demand(request, "updates.view_source")
    source = Source.objects.select_related("service").filter(pk=number).first()
    if source is None:
        raise Http404
    if request.method == "POST":
        roles.demand(request, roles.CHANGE_SOURCE)
        _check(request, source)
        return HttpResponseRedirect(_link(source))
    found = Release.objects.filter(service=source.service).order_by("-recorded_at", "-pk")
    context = {
        **admin.site.each_context(request),
        "title": str(source),
        "sg_list": "updates.source",
        "source": source,
        "manager": manager_of(source),
        "releases": found[:RELEASES_SHOWN],
        "may_check": roles.person(request).has_perm(roles.CHANGE_SOURCE),
    }
    return TemplateResponse(request, "console/source.html", context)


def _check(request: HttpRequest, source: Source) -> None:
    try:
        result = updates.operations.check(source.service)
    except SagaError as exc:
        messages.error(request, exc.message)
        return
    for warning in result.warnings:
        messages.warning(request, warning)
    found = result.latest_version
    messages.success(
        request, f"The newest release is {found}." if found else "No release was found."
    )


def _link(source: Source) -> str:
    return reverse("admin:console_source", args=[source.pk])
