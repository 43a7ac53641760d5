"""Admin pages for what other packages keep: logins, and through the imports people, roles and schedules."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from axes.admin import AccessAttemptAdmin, AccessFailureLogAdmin, AccessLogAdmin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from saga_project.console import people, schedules

__all__ = ["people", "schedules"]  # their pages are registered when they are imported

# Rows that Saga does not use, or that hold secrets: people see their own factors only.
for _model in (
    EmailAddress,
    EmailConfirmation,
    Authenticator,
    SocialAccount,
    SocialApp,
    SocialToken,
):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(AccessAttempt)
class LoginAttemptAdmin(AccessAttemptAdmin, ModelAdmin):
    """The package's own action names no permission: offer it to people that may change the rows."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return actions if self.has_change_permission(request) else {}


@admin.register(AccessFailureLog)
class LoginFailureAdmin(AccessFailureLogAdmin, ModelAdmin):
    pass


@admin.register(AccessLog)
class LoginAdmin(AccessLogAdmin, ModelAdmin):
    pass
