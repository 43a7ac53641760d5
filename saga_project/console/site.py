"""Django's admin site, with the console's pages in front of its own."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from unfold.sites import UnfoldAdminSite

from saga_project.console import dashboard, roles, start, urls
from saga_project.console.sign_in import views
from saga_project.shared import open_mode


class ConsoleSite(UnfoldAdminSite):
    """The pages of ``urls`` win over the admin's own addresses: a service's row opens its page."""

    enable_nav_sidebar = True

    def extra_urls(self) -> list[URLPattern | URLResolver]:
        return urls.patterns(self.admin_view)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **super().each_context(request),
            "sg_role": roles.name_of(request.user),
            "sg_environment": settings.SERVICE_NAME,
            "sg_is_open_for_long": open_mode.is_long(now=timezone.now()),
        }

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if start.is_needed():
            return start.page(request, self.each_context(request))
        return dashboard.page(request, self.each_context(request))

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        request.current_app = self.name
        context = {**self.each_context(request), **(extra_context or {})}
        return views.log_in(request, self.login_form, context)

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return views.log_out(request, {**self.each_context(request), **(extra_context or {})})
