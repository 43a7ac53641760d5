"""Renders a delivery as it is sent: its payload with secrets, its thread, addresses of mail.

What is added is not kept in the delivery.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from saga_project.shared import crypto, strict_json
from webhooks.models import Delivery
from webhooks.outbound import approval_links, channels
from webhooks.outbound.channels import mail, slack

JSON = "application/json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderedMessage:
    """The bytes and headers of a call, or the addresses of mail."""

    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    addresses: tuple[str, ...] = ()
    #: Where it goes instead of the delivery's own URL.
    url: str = ""


def form_of(delivery: Delivery) -> str:
    """Return the format of a delivery's payload."""
    if delivery.kind == Delivery.Kind.EVENT:
        return channels.STANDARD
    return delivery.format or channels.format_of(delivery.topic)


def render(delivery: Delivery) -> RenderedMessage:
    """Return the message. Raises SecretUnreadable."""
    message = _dressed(delivery)
    return dataclasses.replace(message, body=approval_links.prove(message.body, delivery))


def _dressed(delivery: Delivery) -> RenderedMessage:
    form, payload = form_of(delivery), delivery.payload
    secret = _secret(delivery)
    if form == channels.TEMPLATE:
        headers = {"Content-Type": str(payload["content_type"])}
        if secret:
            headers["Authorization"] = secret
        return RenderedMessage(body=str(payload["body"]).encode(), headers=headers)
    if form == channels.PAGERDUTY:
        return _json({**payload, "routing_key": secret})
    if form == channels.SLACK and secret:
        return _for_slack(delivery, secret=secret)
    if form == channels.SLACK:
        return _json({name: value for name, value in payload.items() if name != "metadata"})
    if form == channels.EMAIL:
        addresses = tuple(mail.addresses(delivery.url))
        return RenderedMessage(body=strict_json.dumps(payload), addresses=addresses)
    return _json(payload)


def _json(payload: Any, **headers: str) -> RenderedMessage:
    # PostgreSQL keeps the keys in an order of its own; each attempt must send the same bytes.
    body = strict_json.dumps(payload, has_sorted_keys=True)
    return RenderedMessage(body=body, headers={"Content-Type": JSON, **headers})


def _secret(delivery: Delivery) -> str:
    sealed = delivery.endpoint.sealed_secret if delivery.endpoint is not None else ""
    return crypto.decrypt(sealed) if sealed else ""


def _for_slack(delivery: Delivery, *, secret: str) -> RenderedMessage:
    """Return the call of Slack's API: into the thread of the first message about one of the alerts.

    The end of all alerts of the first message changes that message, where the channel is named by its id.
    """
    endpoint = delivery.endpoint
    channel = str(endpoint.options.get("channel")) if endpoint else ""
    payload = {**delivery.payload, "channel": channel}
    headers = {"Authorization": f"Bearer {secret}"}
    first = _first_message(delivery)
    if first is None:
        return _json(payload, **headers)
    is_whole = set(first.alert_ids) <= set(delivery.alert_ids)
    is_first_try = delivery.attempt_count == 0
    is_post = delivery.url.endswith(f"/{slack.POST}")
    if (
        slack.is_end(payload)
        and is_whole
        and is_first_try
        and is_post
        and _CHANNEL_ID.fullmatch(channel)
    ):
        # Empty blocks take away the buttons.
        message = _json({"blocks": [], **payload, "ts": first.remote_id}, **headers)
        return dataclasses.replace(
            message, url=delivery.url.removesuffix(slack.POST) + slack.UPDATE
        )
    return _json({**payload, "thread_ts": first.remote_id}, **headers)


_CHANNEL_ID = re.compile(r"[CDG][A-Z0-9]{6,}", re.ASCII)


def _first_message(delivery: Delivery) -> Delivery | None:
    if not delivery.alert_ids:
        return None
    earlier = Delivery.objects.filter(
        endpoint=delivery.endpoint, alert_ids__overlap=delivery.alert_ids
    )
    return earlier.exclude(remote_id="").exclude(pk=delivery.pk).order_by("created_at").first()
