"""The webhooks' routes, below /api/v1."""

from __future__ import annotations

from django.urls import path

from saga_project.shared.api import resources
from webhooks.api import (
    channels,
    deliveries,
    github_hooks,
    inbound_calls,
    receivers,
    routes,
    rules,
    slack,
)
from webhooks.api.configuration import ConfigurationView
from webhooks.api.senders import SenderView
from webhooks.inbound.routes import ROUTES

#: Views that answer other methods at the address of a route.
BASES: dict[str, type[routes.WebhookView]] = {"config": ConfigurationView}

router = resources.ResourceRouter()
router.register("channels", channels.ChannelViewSet, basename="channel")
router.register("alerts", rules.AlertViewSet, basename="alert")
router.register("notification-rules", rules.NotificationRuleViewSet, basename="notification_rule")
router.register("receivers", receivers.ReceiverViewSet, basename="receiver")
router.register("deliveries", deliveries.DeliveryViewSet, basename="delivery")
router.register("github-hooks", github_hooks.GitHubHookViewSet, basename="github_hook")
router.register("inbound-calls", inbound_calls.InboundCallViewSet, basename="inbound_call")

urlpatterns = [
    path("alerts/<str:alert_id>/acknowledge", rules.AcknowledgeAlertView.as_view()),
    path("channels/<str:channel_id>/test", channels.ChannelTestView.as_view()),
    path("deliveries/replay", deliveries.ReplayManyView.as_view()),
    path("deliveries/<str:delivery_id>/replay", deliveries.ReplayDeliveryView.as_view()),
    path("inbound-calls/<str:call_id>/replay", inbound_calls.ReplayCallView.as_view()),
    path("receivers/<str:receiver_id>/resume", receivers.ResumeReceiverView.as_view()),
    path("webhooks/slack", slack.SlackActionView.as_view()),
    path("webhooks/from/<str:sender>/<str:name>", SenderView.as_view()),
    *(
        path(
            f"webhooks/{name}", routes.view_of(route, BASES.get(name, routes.WebhookView)).as_view()
        )
        for name, route in ROUTES.items()
    ),
    *router.urls,
]
