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
from updates.policies.calendar import Verdict

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
        "required": updates.operations.required_of(approval),
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
    rows = Approval.objects.select_related("release", "service").prefetch_related("decisions")
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
    return [_approve(approval, user, now), _reject(approval, user, now)]


def _why_not(
    approval: Approval, user: AbstractUser, now: dt.datetime, *, verdict: Verdict, is_last: bool
) -> str:
    """Return why this person's approval could only fail now."""
    if late := _late(approval, now):
        return late
    if _is_own(approval, user):
        return "You asked for it, or announced it: another person must approve it."
    if updates.operations.has_decided(approval, by=user.get_username()):
        return "You approved it already: another person must approve it, too."
    is_closed = bool(approval.requested_by) and is_last and not verdict.is_open
    message = f"Its service may not be changed now: {verdict.reason}"
    return overrides.blocked_by(user, message if is_closed else None)


def _late(approval: Approval, now: dt.datetime) -> str:
    is_late = approval.expires_at is not None and approval.expires_at <= now
    return "The request was not decided in time." if is_late else ""


def _approve(approval: Approval, user: AbstractUser, now: dt.datetime) -> ButtonVerb:
    verdict = preview.calendar_of(approval.service).evaluate(now)
    is_at_once = bool(approval.requested_by)
    given = len(updates.operations.approvers_of(approval))
    is_last = given + 1 >= updates.operations.required_of(approval)

    def does(form: Form) -> Done:
        updates.operations.approve(
            approval,
            by=user.get_username(),
            reason=form["reason"],
            override=overrides.read(user, form),
            now=now,
        )
        if approval.state == Approval.State.PENDING:
            return f"Your approval of {approval.release} is recorded; it needs more.", None
        return f"{approval.release} is approved.", None

    when = "at once" if is_at_once else "as soon as its policy and the calendar allow"
    effect = f"{_effect(approval)} {when}."
    return Verb(
        name="approve",
        label="Approve",
        icon="check",
        permission=roles.DECIDE_APPROVAL,
        link=_link(approval, "approve"),
        is_primary=True,
        consequences=[
            effect if is_last else f"Once enough people approve: {effect}",
            "Your name stands beside it.",
        ],
        choices=[
            Choice(name="reason", label="Reason", is_long=True),
            *overrides.choices(user, is_open=verdict.is_open or not is_at_once),
        ],
        blocked_by=_why_not(approval, user, now, verdict=verdict, is_last=is_last),
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
        blocked_by=_late(approval, now),
        consequences=[
            f"No policy deploys {approval.release} any more.",
            "People still can, by hand.",
        ],
        choices=[Choice(name="reason", label="Reason", is_long=True, is_required=True)],
        does=does,
    )
