"""Actions that ask once, say what will happen, and then call an operation for each row chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from saga_project.shared.errors import SagaError

MAX_REASON_LENGTH = 1000
MAX_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class AdminVerb:
    """``action`` is the name of the admin's action, ``do`` what it does to one row, given a reason."""

    action: str
    title: str
    consequence: str
    done: str
    do: Callable[[HttpRequest, Any, str], None]
    has_reason: bool = False
    is_reason_needed: bool = False


def carry_out(
    admin: ModelAdmin, request: HttpRequest, rows: QuerySet[Any], verb: AdminVerb
) -> HttpResponse | None:
    """Ask on the first call, act on the confirmed one, and say for each row what came of it."""
    reason = request.POST.get("reason", "").strip()[:MAX_REASON_LENGTH]
    is_confirmed = request.method == "POST" and "confirmed" in request.POST
    if not is_confirmed or (verb.is_reason_needed and not reason):
        return ask(admin, request, rows, verb, is_reason_missing=is_confirmed)
    for row in rows:
        try:
            verb.do(request, row, reason)
        except SagaError as exc:
            messages.error(request, f"{row}: {exc.message}")
        else:
            admin.log_change(request, row, f"{verb.done}. {reason}".strip())
            messages.success(request, f"{row}: {verb.done.lower()}.")
    return None


def ask(
    admin: ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    verb: AdminVerb,
    *,
    is_reason_missing: bool = False,
) -> TemplateResponse:
    """Return the page that says what will happen; its form posts the action to the list."""
    options = admin.model._meta
    chosen = list(rows)
    context = {
        **admin.admin_site.each_context(request),
        "title": verb.title,
        "opts": options,
        "verb": verb,
        "shown": chosen[:MAX_SHOWN],
        "hidden_count": max(0, len(chosen) - MAX_SHOWN),
        "chosen": chosen,
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "is_reason_missing": is_reason_missing,
        "max_reason_length": MAX_REASON_LENGTH,
        "list_url": list_url(admin.model),
    }
    return TemplateResponse(request, "admin/registry/ask.html", context)


def list_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
