"""The way from a password or a provider's word to a session: allauth asks for a second factor in between."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows import login as flow
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.account.models import Login
from allauth.core import context
from django.contrib.auth import views
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

from saga_project.console import login
from saga_project.console.sign_in import pages

BACKEND = "django.contrib.auth.backends.ModelBackend"
#: For so long after a login the password or factor is not asked for again.
RECENT_SECONDS = 300
UNTOLD = {"account/messages/logged_in.txt"}


class PasswordView(views.LoginView):
    """The form for a name and a password."""

    def form_valid(self, form: Any) -> HttpResponse:
        person: User = form.get_user()
        begun = Login(user=person, redirect_url=self.get_success_url())
        answer: HttpResponse = flow.perform_password_login(
            self.request, {"username": person.get_username()}, begun
        )
        return answer


class ConsoleAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Where allauth asks for decisions."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def login(self, request: HttpRequest, user: User) -> None:
        user.backend = BACKEND
        super().login(request, user)

    def get_client_ip(self, request: HttpRequest) -> str:
        return login.address_of(request) or ""

    def is_safe_url(self, url: str | None) -> bool:
        """Whether a login may lead there: to pages of this server, under the name that was called."""
        host = context.request.get_host()
        return url_has_allowed_host_and_scheme(url, allowed_hosts={host})

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        return pages.refusal(request, "Your account in Saga is switched off.")

    def is_reauthentication_required(self, *, app: str) -> bool:
        """Ask again, unless the login is recent, or has nothing that could be asked for."""
        request = context.request
        records = flow.get_authentication_records(request, request.user)
        if records and time.time() - records[-1]["at"] < RECENT_SECONDS:
            return False
        return bool(get_reauthentication_flows(request.user))

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if message_template not in UNTOLD:
            super().add_message(request, level, message_template, *args, **kwargs)
