"""Buttons that change something: one page says what will happen and asks once, a POST does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from saga_project.console import roles
from saga_project.shared.admin.verbs import ButtonVerb
from saga_project.shared.errors import SagaError


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
    verb = next((verb for verb in verbs if verb.name == name), None)
    if verb is None:
        if request.method == "POST":
            messages.warning(request, f"“{subject}” has moved on: that is no longer possible.")
            return HttpResponseRedirect(back)
        raise Http404
    roles.demand(request, verb.permission)
    if request.method == "POST":
        return _do(request, verb, back=back)
    context = {**site, "title": f"{verb.label}?", "verb": verb, "subject": subject, "back": back}
    return TemplateResponse(request, "console/confirm.html", context)


def _do(request: HttpRequest, verb: ButtonVerb, *, back: str) -> HttpResponse:
    form = {choice.name: request.POST.get(choice.name, "").strip() for choice in verb.choices}
    missing = [choice for choice in verb.choices if choice.is_required and not form[choice.name]]
    if missing:
        messages.error(request, f"“{missing[0].label}” is needed.")
        return HttpResponseRedirect(request.get_full_path())
    try:
        told, onward = verb.does(form)
    except SagaError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(back)
    messages.success(request, told)
    return HttpResponseRedirect(onward or back)
