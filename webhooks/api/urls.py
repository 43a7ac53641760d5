"""The webhooks' routes, below /api/v1."""

from __future__ import annotations

from django.urls import path

from webhooks.api import routes
from webhooks.api.configuration import ConfigurationView
from webhooks.api.senders import SenderView
from webhooks.inbound.routes import ROUTES

#: Views that answer other methods at the address of a route.
BASES: dict[str, type[routes.WebhookView]] = {"config": ConfigurationView}

urlpatterns = [
    path("webhooks/from/<str:sender>/<str:name>", SenderView.as_view()),
    *(
        path(
            f"webhooks/{name}", routes.view_of(route, BASES.get(name, routes.WebhookView)).as_view()
        )
        for name, route in ROUTES.items()
    ),
]
