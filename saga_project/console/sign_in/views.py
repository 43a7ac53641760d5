"""Addresses of the login: the form, the way to the provider and back, and the way out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LogoutView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from saga_project.console.sign_in import pages, provider, provider_logout, sessions, steps
from saga_project.shared import rate_limits

TEMPLATE = "console/login.html"
#: Logins by the provider that one address may begin: each makes a session, before anything is known of it.
BEGINNINGS_PER_MINUTE, BEGINNINGS_BURST = 20, 40

#: Logout tokens that were none, from one address; the provider's own are not counted.
REFUSALS_PER_SECOND, REFUSALS_BURST = 1, 100

_refusals = rate_limits.Buckets(per_second=REFUSALS_PER_SECOND, burst=REFUSALS_BURST)
_beginnings = rate_limits.Buckets(per_second=BEGINNINGS_PER_MINUTE / 60, burst=BEGINNINGS_BURST)


def onward_of(request: HttpRequest) -> str:
    """Return where the request asks to be led after the login: a page of this server, or the dashboard."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    is_own = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_own else reverse("admin:index")


@never_cache
@sensitive_post_parameters("password")
def log_in(request: HttpRequest, form: type[Any], context: dict[str, Any]) -> HttpResponse:
    """Show the ways to log in, and take a name and a password where local logins are on."""
    onward = onward_of(request)
    context = {
        **context,
        "title": "Log in",
        "subtitle": None,
        "app_path": request.get_full_path(),
        REDIRECT_FIELD_NAME: onward,
        "is_local": settings.SAGA_LOCAL_LOGIN,
    }
    if provider.is_configured():
        query = urlencode({REDIRECT_FIELD_NAME: onward})
        context["provider_name"] = settings.SAGA_OIDC_NAME
        context["provider_url"] = f"{reverse('console_provider')}?{query}"
    if not settings.SAGA_LOCAL_LOGIN:
        if request.method == "POST":
            return pages.refusal(
                request, "Passwords of Saga are switched off. Log in with your provider."
            )
        return render(request, TEMPLATE, context)
    view: Callable[..., Any] = steps.PasswordView.as_view(
        authentication_form=form, template_name=TEMPLATE, extra_context=context
    )
    answer: HttpResponse = view(request)
    return answer


@never_cache
def log_out(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """End the session, and lead on to where the provider ends its own."""
    goodbye = sessions.address_of_goodbye(request) if request.method == "POST" else ""
    extra = {**context, "has_permission": False}
    leave: Callable[..., Any] = LogoutView.as_view(extra_context=extra)
    answer: HttpResponse = leave(request)
    if not goodbye:
        return answer
    return render(request, "console/logged_out.html", {**extra, "goodbye": goodbye})


@never_cache
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider."""
    if not provider.is_configured():
        raise Http404
    onward = onward_of(request)
    if admin.site.has_permission(request):
        return HttpResponseRedirect(onward)
    if wait := _beginnings.take(request.META.get("REMOTE_ADDR", ""), now=time.monotonic()):
        return pages.too_many(request, wait_seconds=wait)
    if not request.user.is_authenticated:
        request.session.set_expiry(sessions.PENDING_SECONDS)
    return provider.begin(request, onward=onward)


@never_cache
@require_GET
def complete(request: HttpRequest) -> HttpResponse:
    """Answer the browser that comes back from the provider."""
    if not provider.is_configured():
        raise Http404
    return provider.complete(request)


@csrf_exempt
@never_cache
@require_POST
def end_by_provider(request: HttpRequest) -> HttpResponse:
    """Take a logout token of the provider, which ends sessions of a person (back-channel logout)."""
    if not provider.is_configured():
        raise Http404
    address = request.META.get("REMOTE_ADDR", "")
    if _refusals.wait_seconds(address, now=time.monotonic()):
        return _no_logout("Too many logout tokens from your address were none.", status=429)
    try:
        provider_logout.receive(request.POST.get("logout_token", ""), now=timezone.now())
    except provider_logout.LogoutRefused as exc:
        _refusals.take(address, now=time.monotonic())
        return _no_logout(str(exc), status=400)
    return HttpResponse()


def _no_logout(reason: str, *, status: int) -> JsonResponse:
    return JsonResponse({"error": "invalid_request", "error_description": reason}, status=status)
