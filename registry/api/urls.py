"""The registry's routes, below /api/v1."""

from __future__ import annotations

from django.urls import path

from registry.api import discovery, events, protection, saga, scaicontrol, subscriptions

urlpatterns = [
    path("discovery/prometheus", discovery.PrometheusView.as_view()),
    path("events", events.EventsView.as_view()),
    path("events/stream", events.EventStreamView.as_view()),
    path("protection", protection.ProtectionView.as_view()),
    path("services/register", saga.RegisterView.as_view()),
    path("services/heartbeat", saga.BulkHeartbeatView.as_view()),
    path("services", saga.ServiceListView.as_view()),
    path("services/<str:name>", saga.ServiceView.as_view()),
    path("services/<str:name>/instances", saga.InstanceListView.as_view()),
    path("services/<str:name>/resolve", saga.ResolveView.as_view()),
    path("services/<str:name>/heartbeat", saga.HeartbeatView.as_view()),
    path("registry/register", scaicontrol.ScaiControlRegisterView.as_view()),
    path("registry/heartbeat", scaicontrol.ScaiControlHeartbeatView.as_view()),
    path("subscriptions", subscriptions.SubscriptionListView.as_view()),
    path("subscriptions/<str:subscription_id>", subscriptions.SubscriptionView.as_view()),
]
