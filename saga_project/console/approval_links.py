"""The page behind a link in a message: it asks once, and only its form decides. It needs no login.

Scanners of mail follow links: GET changes nothing.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from saga_project.shared import api
from saga_project.shared.admin.verbs import MAX_REASON_LENGTH
from saga_project.shared.errors import SagaError
from updates.models import ApprovalDecision
from webhooks.models import ApprovalLink
from webhooks.operations import approval_links


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    link: ApprovalLink | None = None
    try:
        link = approval_links.find(token)
        if request.method == "POST":
            reason = request.POST.get("reason", "").strip()[:MAX_REASON_LENGTH]
            approval_links.use(link, reason=reason, now=now)
            return _answer(request, link, done=_done(link))
        approval_links.check_usable(link, now=now)
    except SagaError as exc:
        return _answer(request, link, refusal=exc.message, status=api.status_of(exc))
    return _answer(request, link)


def _done(link: ApprovalLink) -> str:
    if link.verdict == ApprovalDecision.Verdict.REJECTED:
        return f"{link.approval.release} is rejected."
    if link.approval.state == link.approval.State.PENDING:
        return f"Your approval of {link.approval.release} is recorded; it needs more."
    return f"{link.approval.release} is approved."


def _answer(
    request: HttpRequest,
    link: ApprovalLink | None,
    *,
    done: str = "",
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    is_rejection = link is not None and link.verdict == ApprovalDecision.Verdict.REJECTED
    context = {
        "link": link,
        "done": done,
        "refusal": refusal,
        "is_rejection": is_rejection,
        "max_reason_length": MAX_REASON_LENGTH,
    }
    answer = render(request, "console/approval_link.html", context, status=status)
    # No other site learns the address. A stricter policy would hide the form's origin from Saga, too.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
