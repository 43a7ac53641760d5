"""A journey with the client that openapi-python-client makes; prints what came of it."""

from __future__ import annotations

import json
import os

from saga_api import AuthenticatedClient
from saga_api.api.events import list_events
from saga_api.api.registry import get_service, heartbeat, register_service, unregister_service
from saga_api.api.subscriptions import cancel_subscription, list_subscriptions, subscribe
from saga_api.models import (
    Error,
    EventPage,
    HeartbeatRequest,
    NewSubscription,
    Refreshed,
    Registered,
    RegistrationRequest,
    Service,
    ServiceRegisteredEvent,
    SubscriptionList,
    SubscriptionRequest,
)

NAME = "generated-python"


def main() -> None:
    client = AuthenticatedClient(base_url=os.environ["SAGA_URL"], token=os.environ["SAGA_TOKEN"])
    with client:
        body = RegistrationRequest(service_name=NAME, service_url="http://127.0.0.1:9100")
        registered = register_service.sync(client=client, body=body)
        assert isinstance(registered, Registered), registered
        renewed = heartbeat.sync(NAME, client=client, body=HeartbeatRequest())
        assert isinstance(renewed, Refreshed), renewed
        found = get_service.sync(NAME, client=client)
        assert isinstance(found, Service), found
        subscription = subscribe.sync(
            client=client,
            body=SubscriptionRequest(
                service_name=NAME,
                subscriber="journey",
                callback_url="http://127.0.0.1:9/hook",
                topics=["service.*"],
            ),
        )
        assert isinstance(subscription, NewSubscription), subscription
        listed = list_subscriptions.sync(client=client, service=NAME)
        assert isinstance(listed, SubscriptionList), listed
        cancelled = cancel_subscription.sync(str(subscription.id), client=client)
        assert not isinstance(cancelled, Error), cancelled
        page = list_events.sync(
            client=client, service=[NAME], type_=["service.registered"], wait="30"
        )
        assert isinstance(page, EventPage), page
        urls = [
            event.data.service_url
            for event in page.events
            if isinstance(event, ServiceRegisteredEvent)
        ]
        unregister_service.sync(NAME, client=client)
        gone = get_service.sync(NAME, client=client)
        assert isinstance(gone, Error), gone
    print(
        json.dumps(
            {
                "url": found.service_url,
                "ttl": renewed.ttl,
                "subscriptions": listed.total,
                "has_secret": bool(subscription.secret),
                "urls_of_events": urls,
                "afterwards": gone.error,
            }
        )
    )


main()
