"""What is added to a payload when it is sent: secrets, the thread that it belongs to, addresses of mail.

None of it is kept in the delivery.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from saga_project.shared import crypto, strict_json
from webhooks.models import Delivery
from webhooks.outbound import channels
from webhooks.outbound.channels import mail

JSON = "application/json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DressedMessage:
    """The bytes and headers of a call, or the addresses of mail."""

    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    addresses: tuple[str, ...] = ()


def form_of(delivery: Delivery) -> str:
    """Return the format of a delivery's payload."""
    if delivery.kind == Delivery.Kind.EVENT:
        return channels.STANDARD
    return delivery.format or channels.format_of(delivery.topic)


def dress(delivery: Delivery) -> DressedMessage:
    """Return the message. Raises SecretUnreadable."""
    form, payload = form_of(delivery), delivery.payload
    secret = _secret(delivery)
    if form == channels.TEMPLATE:
        headers = {"Content-Type": str(payload["content_type"])}
        if secret:
            headers["Authorization"] = secret
        return DressedMessage(body=str(payload["body"]).encode(), headers=headers)
    if form == channels.PAGERDUTY:
        return _json({**payload, "routing_key": secret})
    if form == channels.SLACK and secret:
        return _json(_threaded(delivery), Authorization=f"Bearer {secret}")
    if form == channels.EMAIL:
        addresses = tuple(mail.addresses(delivery.url))
        return DressedMessage(body=strict_json.dumps(payload), addresses=addresses)
    return _json(payload)


def _json(payload: Any, **headers: str) -> DressedMessage:
    # PostgreSQL keeps the keys in an order of its own; each attempt must send the same bytes.
    body = strict_json.dumps(payload, has_sorted_keys=True)
    return DressedMessage(body=body, headers={"Content-Type": JSON, **headers})


def _secret(delivery: Delivery) -> str:
    sealed = delivery.endpoint.sealed_secret if delivery.endpoint is not None else ""
    return crypto.decrypt(sealed) if sealed else ""


def _threaded(delivery: Delivery) -> dict[str, Any]:
    """Return the payload for Slack's API: into the thread of the first message about one of the alerts."""
    endpoint = delivery.endpoint
    payload = {**delivery.payload, "channel": endpoint.options.get("channel") if endpoint else ""}
    if delivery.alert_ids:
        earlier = Delivery.objects.filter(
            endpoint=endpoint, alert_ids__overlap=delivery.alert_ids
        ).exclude(remote_id="")
        first = earlier.order_by("created_at").values_list("remote_id", flat=True).first()
        if first:
            payload["thread_ts"] = first
    return payload
