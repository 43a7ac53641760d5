"""Make one attempt; no database here, so that it can run in any thread."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import time

from django.utils import timezone

from saga_project.shared import errors, http_client, strict_json
from webhooks import signatures
from webhooks.outbound import approval_links, channels, claims, mailing, rendering
from webhooks.outbound.channels import slack
from webhooks.outbound.retry_schedule import AttemptOutcome

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 2048


@dataclasses.dataclass(frozen=True)
class Sent:
    claimed_delivery: claims.ClaimedDelivery
    outcome: AttemptOutcome
    started_at: dt.datetime


def send(
    claimed_delivery: claims.ClaimedDelivery, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> Sent:
    """Make one attempt; whatever happens on the way is its outcome."""
    started_at, begun = timezone.now(), time.monotonic()
    outcome = claimed_delivery.foregone or _attempt(
        claimed_delivery, at=started_at, timeout_seconds=timeout_seconds
    )
    outcome = dataclasses.replace(
        outcome,
        duration_ms=round((time.monotonic() - begun) * 1000),
        answer=strict_json.clean(approval_links.withhold(outcome.answer)),
        error=strict_json.clean(approval_links.withhold(outcome.error)),
        message_id=strict_json.clean(outcome.message_id),
    )
    return Sent(claimed_delivery, outcome, started_at)


def _attempt(
    claimed_delivery: claims.ClaimedDelivery, *, at: dt.datetime, timeout_seconds: float
) -> AttemptOutcome:
    try:
        if claimed_delivery.addresses:
            return mailing.send(claimed_delivery, timeout_seconds=timeout_seconds)
        return _call(claimed_delivery, at=at, timeout_seconds=timeout_seconds)
    except Exception:
        # The drain waits for an outcome of each delivery that it has begun.
        logger.exception("delivery broke", extra={"delivery_id": str(claimed_delivery.delivery_id)})
        return AttemptOutcome(error="Saga failed to make the call; its log says why.")


def _call(
    claimed_delivery: claims.ClaimedDelivery, *, at: dt.datetime, timeout_seconds: float
) -> AttemptOutcome:
    try:
        response = http_client.request(
            "POST",
            claimed_delivery.url,
            purpose="receiver",
            headers=_headers(claimed_delivery, at=at),
            body=claimed_delivery.body,
            timeout_seconds=timeout_seconds,
            max_bytes=MAX_ANSWER_BYTES,
            truncate=True,
        )
    except errors.InvalidRequest as exc:
        return AttemptOutcome(error=exc.message, is_refused=True)
    except errors.SagaError as exc:
        return AttemptOutcome(error=exc.message)
    outcome = AttemptOutcome(
        status=response.status,
        headers=response.headers,
        answer=response.body.decode("utf-8", "replace").replace("\x00", "\ufffd"),
    )
    is_slack = claimed_delivery.form == channels.SLACK
    return slack.read_answer(outcome) if is_slack else outcome


def _headers(claimed_delivery: claims.ClaimedDelivery, *, at: dt.datetime) -> dict[str, str]:
    headers = {"Content-Type": rendering.JSON, **claimed_delivery.headers}
    if claimed_delivery.is_standard:
        headers |= signatures.sign_standard(
            claimed_delivery.body,
            message_id=f"msg_{claimed_delivery.delivery_id.hex}",
            timestamp=int(at.timestamp()),
            secrets=claimed_delivery.secrets,
        )
    return headers
