"""What of allauth is served: no sign-up, no e-mail addresses, no password reset; all below /admin/."""

from __future__ import annotations

from allauth.account.views import reauthenticate
from django.contrib import admin
from django.urls import include, path

from saga_project.console.sign_in import views

urlpatterns = [
    path("login/", admin.site.login, name="account_login"),
    path("logout/", admin.site.logout, name="account_logout"),
    path("login/provider/", views.begin, name="console_provider"),
    path("login/provider/callback/", views.complete, name="console_provider_callback"),
    path(
        "login/provider/backchannel-logout/", views.end_by_provider, name="console_provider_logout"
    ),
    path("reauthenticate/", reauthenticate, name="account_reauthenticate"),
    path("second-factor/", include("allauth.mfa.urls")),
]
