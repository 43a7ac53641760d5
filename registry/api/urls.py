"""The registry's routes, below /api/v1."""

from __future__ import annotations

from django.urls import path

from registry.api import (
    accounts,
    approval,
    discovery,
    events,
    health_checks,
    heartbeats,
    instances,
    labelling,
    maintenance,
    notes,
    own_tokens,
    people,
    protection,
    registrations,
    scaicontrol,
    services,
    subscriptions,
)
from saga_project.shared.api import resources

router = resources.ResourceRouter()
router.register("accounts", accounts.AccountViewSet, basename="account")
router.register("tokens", accounts.TokenViewSet, basename="token")
router.register("me/tokens", own_tokens.OwnTokenViewSet, basename="own-token")
router.register("checks", health_checks.HealthCheckViewSet, basename="check")

urlpatterns = [
    path("me", accounts.MeView.as_view()),
    path("people/<str:username>/second-factor", people.SecondFactorView.as_view()),
    path("discovery/prometheus", discovery.PrometheusView.as_view()),
    path("events", events.EventsView.as_view()),
    path("events/stream", events.EventStreamView.as_view()),
    path("protection", protection.ProtectionView.as_view()),
    path("services/register", registrations.RegisterView.as_view()),
    path("services/heartbeat", heartbeats.BulkHeartbeatView.as_view()),
    path("services", services.ServiceListView.as_view()),
    path("services/<str:name>", services.ServiceView.as_view()),
    path("services/<str:name>/instances", instances.InstanceListView.as_view()),
    path("services/<str:name>/resolve", instances.ResolveView.as_view()),
    path("services/<str:name>/approval", approval.ServiceApprovalView.as_view()),
    path("services/<str:name>/uptime", health_checks.UptimeView.as_view()),
    path("services/<str:name>/labels", labelling.ServiceLabelsView.as_view()),
    path("services/<str:name>/maintenance", maintenance.MaintenanceView.as_view()),
    path("services/<str:name>/notes", notes.NotesView.as_view()),
    path("services/<str:name>/heartbeat", heartbeats.HeartbeatView.as_view()),
    path("registry/register", scaicontrol.ScaiControlRegisterView.as_view()),
    path("registry/heartbeat", scaicontrol.ScaiControlHeartbeatView.as_view()),
    path("subscriptions", subscriptions.SubscriptionListView.as_view()),
    path("subscriptions/<str:subscription_id>", subscriptions.SubscriptionView.as_view()),
    *router.urls,
]
