"""Messages to people: the endpoint of a channel, the link to the console, and the delivery."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from registry.models import Service
from webhooks import errors
from webhooks.models import Delivery, Endpoint, receiver_of
from webhooks.outbound import channels
from webhooks.outbound.channels.notification import Notification

#: In a rule: every channel of the service, and the global ones of other names.
EVERY_CHANNEL = "*"
Endpoints = dict[tuple[str, str], Endpoint]


def find_endpoint(service_name: str, channel: str) -> Endpoint:
    """Return the service's own endpoint for the channel, else the global one. Raises ChannelNotConfigured."""
    endpoint = endpoints_for({service_name}, {channel}).get((service_name, channel))
    if endpoint is None:
        raise errors.ChannelNotConfigured(
            f"No endpoint is configured for channel '{channel[:64]}'.", field="channel"
        )
    if endpoint.disabled_at is not None:
        raise errors.ChannelNotConfigured(
            f"Channel '{channel}' is switched off since its receiver answered 410; configure it again.",
            field="channel",
        )
    return endpoint


def endpoints_for(service_names: Collection[str], channel_names: Collection[str]) -> Endpoints:
    """Return the endpoint of each service and channel that has one: its own, else the global one.

    A stranger's global endpoint gets nothing of a service that an account owns.
    """
    is_reachable = Q(configuration__service=None) | Q(
        configuration__service__name__in=service_names
    )
    rows = Endpoint.objects.filter(is_reachable)
    if EVERY_CHANNEL not in channel_names:
        rows = rows.filter(channel__in=channel_names)
    own: Endpoints = {}
    everywhere: dict[str, Endpoint] = {}
    for row in rows.select_related("configuration__service"):
        if row.configuration.service is None:
            everywhere[row.channel] = row
        else:
            own[row.configuration.service.name, row.channel] = row
    owned = Service.objects.filter(name__in=service_names).exclude(account=None)
    owned_names = set(owned.values_list("name", flat=True))
    for name in service_names:
        for channel, row in everywhere.items():
            if row.configuration.is_administered or name not in owned_names:
                own.setdefault((name, channel), row)
    return own


def link_to(service_name: str) -> str:
    """Return the address of the console's page on the service, empty without SAGA_PUBLIC_URL."""
    if not settings.SAGA_PUBLIC_URL:
        return ""
    if not service_name:
        return settings.SAGA_PUBLIC_URL + reverse("admin:index")
    return settings.SAGA_PUBLIC_URL + reverse("admin:console_service", args=[service_name])


def new_delivery(endpoint: Endpoint, notification: Notification, *, kind: str) -> Delivery:
    """Return an unsaved delivery of the notification, rendered for the endpoint's channel."""
    link = notification.link or link_to(notification.service_name)
    notification = dataclasses.replace(notification, link=link)
    form = channels.format_of(endpoint.channel, url=endpoint.url, named=endpoint.format)
    return Delivery(
        kind=kind,
        format=form,
        endpoint=endpoint,
        service_name=notification.service_name,
        topic=endpoint.channel,
        url=endpoint.url,
        receiver=receiver_of(endpoint.url),
        payload=channels.render(form, notification, options=endpoint.options),
        next_attempt_at=notification.created_at,
        created_at=notification.created_at,
    )


def make_delivery(endpoint: Endpoint, notification: Notification, *, kind: str) -> Delivery:
    """Save a delivery of the notification in the caller's transaction."""
    delivery = new_delivery(endpoint, notification, kind=kind)
    delivery.save(force_insert=True)
    return delivery
