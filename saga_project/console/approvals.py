"""A release that is awaiting approval."""

from __future__ import annotations

import datetime as dt

from django.contrib import admin
from django.contrib.auth.models import AbstractUser
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

import updates.operations
from saga_project.console import confirm, overrides, roles
from saga_project.shared.admin.verbs import ButtonVerb, Choice, Form, Verb
from updates.models import Approval
from updates.policies import preview

Done = tuple[str, str | None]


def page(request: HttpRequest, number: int) -> HttpResponse:
    roles.demand(request, "updates.view_approval")
    approval = _find(number)
    user = roles.person(request)
    verbs = confirm.allowed(request, verbs_of(approval, user=user, now=timezone.now()))
    context = {
        **admin.site.each_context(request),
        "title": str(approval.release),
        "sg_list": "updates.approval",
        "approval": approval,
        "release": approval.release,
        "verbs": verbs,
        "is_own": _is_own(approval, user),
    }
    return TemplateResponse(request, "console/approval.html", context)


def act(request: HttpRequest, number: int, verb: str) -> HttpResponse:
    roles.demand(request, "updates.view_approval")
    approval = _find(number)
    return confirm.ask(
        request,
        verbs_of(approval, user=roles.person(request), now=timezone.now()),
        verb,
        subject=str(approval.release),
        back=_link(approval),
        site=admin.site.each_context(request),
    )


def _find(number: int) -> Approval:
    rows = Approval.objects.select_related("release", "service")
    approval = rows.filter(pk=number).first()
    if approval is None:
        raise Http404
    return approval


def _link(approval: Approval, verb: str = "") -> str:
    if verb:
        return reverse("admin:console_approval_verb", args=[approval.pk, verb])
    return reverse("admin:console_approval", args=[approval.pk])


def _is_own(approval: Approval, user: AbstractUser) -> bool:
    return updates.operations.is_own(approval, by=user.get_username())


def verbs_of(approval: Approval, *, user: AbstractUser, now: dt.datetime) -> list[ButtonVerb]:
    if approval.state != Approval.State.PENDING:
        return []
    decline = _reject(approval, user, now)
    return [decline] if _is_own(approval, user) else [_approve(approval, user, now), decline]


def _approve(approval: Approval, user: AbstractUser, now: dt.datetime) -> ButtonVerb:
    verdict = preview.calendar_of(approval.service).evaluate(now)
    is_at_once = bool(approval.requested_by)

    def does(form: Form) -> Done:
        updates.operations.approve(
            approval,
            by=user.get_username(),
            reason=form["reason"],
            override=overrides.read(user, form),
            now=now,
        )
        return f"{approval.release} is approved.", None

    when = "at once" if is_at_once else "as soon as its policy and the calendar allow"
    return Verb(
        name="approve",
        label="Approve",
        icon="check",
        permission=roles.DECIDE_APPROVAL,
        link=_link(approval, "approve"),
        is_primary=True,
        consequences=[f"{_effect(approval)} {when}.", "Your name stands beside it."],
        choices=[
            Choice(name="reason", label="Reason", is_long=True),
            *overrides.choices(user, is_open=verdict.is_open or not is_at_once),
        ],
        does=does,
    )


def _effect(approval: Approval) -> str:
    if approval.kind == "rollback":
        return f"{approval.service.name} is rolled back to {approval.release.version}"
    return f"{approval.release} is deployed"


def _reject(approval: Approval, user: AbstractUser, now: dt.datetime) -> ButtonVerb:
    def does(form: Form) -> Done:
        by = user.get_username()
        updates.operations.reject(approval, by=by, reason=form["reason"], now=now)
        return f"{approval.release} is rejected.", None

    return Verb(
        name="reject",
        label="Reject",
        icon="block",
        permission=roles.DECIDE_APPROVAL,
        link=_link(approval, "reject"),
        is_danger=True,
        consequences=[
            f"No policy deploys {approval.release} any more.",
            "People still can, by hand.",
        ],
        choices=[Choice(name="reason", label="Reason", is_long=True, is_required=True)],
        does=does,
    )
