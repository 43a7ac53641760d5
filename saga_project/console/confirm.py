"""Buttons that change something: one page says what will happen and asks once, a POST does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from saga_project.console import roles
from saga_project.shared.admin.verbs import ButtonVerb
from saga_project.shared.errors import SagaError

QUESTION = "console/confirm.html"


def allowed(request: HttpRequest, verbs: Sequence[ButtonVerb]) -> list[ButtonVerb]:
    """Return the buttons that this person may see."""
    return [verb for verb in verbs if roles.person(request).has_perm(verb.permission)]


def ask(
    request: HttpRequest,
    verbs: Sequence[ButtonVerb],
    name: str,
    *,
    subject: str,
    back: str,
    site: dict[str, Any],
) -> HttpResponse:
    """Show the question, or do what was confirmed; a verb that the state does not offer is 404."""
    verb = next((verb for verb in verbs if verb.name == name and not verb.blocked_by), None)
    if verb is None:
        if request.method == "POST":
            messages.warning(request, f"“{subject}” has moved on: that is no longer possible.")
            return HttpResponseRedirect(back)
        raise Http404
    roles.demand(request, verb.permission)
    context = {**site, "title": f"{verb.label}?", "subject": subject, "back": back}
    if request.method == "POST":
        return _do(request, verb, context)
    return TemplateResponse(request, QUESTION, {**context, "verb": verb})


def _do(request: HttpRequest, verb: ButtonVerb, context: dict[str, Any]) -> HttpResponse:
    """Do what was confirmed; what was entered stays on the page where it is refused."""
    form = {choice.name: request.POST.get(choice.name, "").strip() for choice in verb.choices}
    missing = [choice for choice in verb.choices if choice.is_required and not form[choice.name]]
    if missing:
        messages.error(request, f"“{missing[0].label}” is needed.")
        return _ask_again(request, verb, form, context)
    try:
        message, onward = verb.does(form)
    except SagaError as exc:
        messages.error(request, str(exc))
        if any(form.values()):
            return _ask_again(request, verb, form, context)
        return HttpResponseRedirect(context["back"])
    messages.success(request, message)
    return HttpResponseRedirect(onward or context["back"])


def _ask_again(
    request: HttpRequest, verb: ButtonVerb, form: dict[str, str], context: dict[str, Any]
) -> HttpResponse:
    choices = [dataclasses.replace(each, value=form[each.name]) for each in verb.choices]
    filled = dataclasses.replace(verb, choices=choices)
    return TemplateResponse(request, QUESTION, {**context, "verb": filled}, status=409)
