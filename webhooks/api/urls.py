"""The webhooks' routes, below /api/v1."""

from __future__ import annotations

from django.urls import path

from webhooks.api import inbound

urlpatterns = [
    path("webhooks/update", inbound.UpdateView.as_view()),
    path("webhooks/check-updates", inbound.CheckUpdatesView.as_view()),
    path("webhooks/health", inbound.HealthReportView.as_view()),
    path("webhooks/lifecycle", inbound.LifecycleView.as_view()),
    path("webhooks/deploy", inbound.DeployView.as_view()),
    path("webhooks/rollback", inbound.RollbackView.as_view()),
    path("webhooks/notify", inbound.NotifyView.as_view()),
    path("webhooks/config", inbound.ConfigView.as_view()),
]
