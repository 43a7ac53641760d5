"""What staff can do: a page says what will happen and asks once, then an operation is called.

``carry_out`` applies a verb to the rows that are chosen in a list of the admin. The console offers verbs as
buttons on the pages of single objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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


Act_co = TypeVar("Act_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A field to fill in before the button: a list where ``options`` are given, else a line of text."""

    name: str
    label: str
    hint: str = ""
    options: Sequence[tuple[str, str]] = ()
    value: str = ""
    is_long: bool = False
    is_required: bool = False


REASON = Choice(name="reason", label="Reason", is_long=True)
REQUIRED_REASON = Choice(name="reason", label="Reason", is_long=True, is_required=True)


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[Act_co]):
    """A change that staff confirm; ``does`` performs it, and ``done`` is the word for it afterwards.

    ``permission``, ``icon`` and ``link`` belong to a button; in a list, ``name`` is the admin's action.
    """

    name: str
    label: str
    consequences: Sequence[str]
    does: Act_co
    choices: Sequence[Choice] = ()
    done: str = ""
    permission: str = ""
    icon: str = ""
    is_primary: bool = False
    is_danger: bool = False
    link: str = ""
    #: Why it could only fail now: the button is shown without effect, beside this sentence.
    blocked_by: str = ""


#: Changes one row, for the reason given.
RowVerb = Verb[Callable[[HttpRequest, Any, str], None]]
Form = dict[str, str]
#: Takes what was filled in, and returns the message and the page to go to.
ButtonVerb = Verb[Callable[[Form], tuple[str, str | None]]]


def carry_out(
    admin: ModelAdmin, request: HttpRequest, rows: QuerySet[Any], verb: RowVerb
) -> HttpResponse | None:
    """Ask on the first call, act on the confirmed one, and say for each row what came of it."""
    reason = request.POST.get("reason", "").strip()[:MAX_REASON_LENGTH]
    is_confirmed = request.method == "POST" and "confirmed" in request.POST
    is_needed = any(choice.is_required for choice in verb.choices)
    if not is_confirmed or (is_needed and not reason):
        return ask(admin, request, rows, verb, is_reason_missing=is_confirmed)
    for row in rows:
        try:
            verb.does(request, row, reason)
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
    verb: RowVerb,
    *,
    is_reason_missing: bool = False,
) -> TemplateResponse:
    """Return the page that says what will happen; its form posts the action to the list."""
    options = admin.model._meta
    chosen = list(rows)
    context = {
        **admin.admin_site.each_context(request),
        "title": verb.label,
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
