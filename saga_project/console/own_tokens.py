"""The page where a person issues and revokes its own tokens."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from registry.identity import accounts
from registry.identity.accounts import Caller
from registry.models import Token
from registry.operations import tokens
from saga_project.console import roles
from saga_project.shared.errors import SagaError

SHOWN = 100


class OwnTokenForm(forms.Form):
    """What a person decides about a new token."""

    name = forms.CharField(max_length=128, help_text="What it is for, such as “laptop”.")
    days = forms.IntegerField(
        initial=tokens.PERSONAL_USUAL.days,
        min_value=1,
        max_value=tokens.PERSONAL_LONGEST.days,
        label="Ends after days",
    )
    scopes = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple)

    def __init__(self, by: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope, f"{scope}: {meaning}")
            for scope, meaning in accounts.SCOPES.items()
            if scope in by.scopes
        ]


def page(request: HttpRequest) -> HttpResponse:
    """Show the person's tokens, and issue one; its text is shown in this answer and never again."""
    by, now = accounts.of_person(roles.person(request)), timezone.now()
    form = OwnTokenForm(by, request.POST if request.method == "POST" else None)
    text = ""
    if form.is_valid():
        try:
            text = _issue(by, form, now)
        except SagaError as exc:
            messages.error(request, exc.message)
        else:
            form = OwnTokenForm(by)
    rows = Token.objects.filter(account=by.account, revoked_at=None)[:SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": "Your tokens",
        "form": form,
        "text": text,
        "tokens": [(row, row.expires_at is not None and row.expires_at <= now) for row in rows],
    }
    return TemplateResponse(request, "console/own_tokens.html", context)


def _issue(by: Caller, form: OwnTokenForm, now: dt.datetime) -> str:
    _, text = tokens.issue(
        by.account,
        scopes=form.cleaned_data["scopes"],
        expires_at=now + dt.timedelta(days=form.cleaned_data["days"]),
        name=form.cleaned_data["name"],
        by=by,
        now=now,
    )
    return text


@require_POST
def revoke(request: HttpRequest, number: int) -> HttpResponse:
    """End a token of the person itself; another's does not exist here."""
    by = accounts.of_person(roles.person(request))
    token = Token.objects.filter(account=by.account, pk=number).first()
    if token is None:
        raise Http404
    tokens.revoke(token, by=by, now=timezone.now())
    messages.success(request, f"{token} is revoked.")
    return HttpResponseRedirect(reverse("admin:console_tokens"))
