"""The meaning of a receiver's answer, and the time of the next attempt; pure."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.utils
import enum
import re
from collections.abc import Mapping

RETRY_SECONDS = (60, 300, 1_800, 7_200, 43_200, 86_400)
JITTER_SHARE = 0.1
MAX_RETRY_AFTER_SECONDS = 86_400
GONE = 410
CONFLICT = 409
#: Connectors of Microsoft Teams answer 200 and write the failure, such as a 429, into the body.
FAILED_IN_BODY = "Webhook message delivery failed with error"
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
RETRIED = frozenset({408, 429})


class NextState(enum.StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttemptOutcome:
    """The result of one attempt: a status, or the reason why there is none."""

    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    answer: str = ""
    error: str = ""
    is_refused: bool = False
    duration_ms: int = 0
    #: The receiver's name for the message, where it gives one.
    message_id: str = ""


@dataclasses.dataclass(frozen=True)
class DeliveryDecision:
    fate: NextState
    reason: str
    retry_in_seconds: float = 0.0
    is_gone: bool = False


def evaluate(
    outcome: AttemptOutcome, *, attempt_count: int, now: dt.datetime, chance: float = 0.5
) -> DeliveryDecision:
    """Return what follows from the ``attempt_count``-th attempt; ``chance`` (0-1) spreads the retries."""
    if outcome.is_refused:
        return DeliveryDecision(NextState.DEAD, outcome.error)
    if outcome.status is None:
        return _retry(outcome, outcome.error, attempt_count, now, chance)
    if 200 <= outcome.status < 300 and FAILED_IN_BODY in outcome.answer:
        reason = f"The receiver answered {outcome.status}, and in the body that delivery failed."
        return _retry(outcome, reason, attempt_count, now, chance)
    if 200 <= outcome.status < 300 or outcome.status == CONFLICT:
        return DeliveryDecision(NextState.DELIVERED, f"The receiver answered {outcome.status}.")
    if outcome.status == GONE:
        reason = "The receiver answered 410: it is gone, and is not called again."
        return DeliveryDecision(NextState.DEAD, reason, is_gone=True)
    if outcome.status in RETRIED or outcome.status >= 500:
        reason = f"The receiver answered {outcome.status}."
        return _retry(outcome, reason, attempt_count, now, chance)
    if 300 <= outcome.status < 400:
        reason = f"The receiver answered {outcome.status}; redirects are not followed."
        return DeliveryDecision(NextState.DEAD, reason)
    return DeliveryDecision(
        NextState.DEAD, f"The receiver answered {outcome.status}: it refuses for good."
    )


def is_failure(outcome: AttemptOutcome) -> bool:
    """Return whether the receiver, and not the message, is at fault: no answer, 408, 429 or 5xx."""
    status = outcome.status
    return status is None or status in RETRIED or status >= 500


def _retry(
    outcome: AttemptOutcome, reason: str, attempt_count: int, now: dt.datetime, chance: float
) -> DeliveryDecision:
    if attempt_count > len(RETRY_SECONDS):
        return DeliveryDecision(
            NextState.DEAD, f"{reason} That was the last of {attempt_count} attempts."
        )
    wait = _retry_after(outcome.headers, now)
    if wait is None:
        wait = RETRY_SECONDS[attempt_count - 1] * (1 + JITTER_SHARE * (2 * chance - 1))
    return DeliveryDecision(NextState.RETRY, reason, retry_in_seconds=wait)


def _retry_after(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Return the seconds that the receiver asks for, from 1 to a day; None where it asks for nothing.

    Discord writes fractions such as ``0.65``.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif text.isascii() and text.isdigit():
        seconds = float(MAX_RETRY_AFTER_SECONDS)
    else:
        try:
            moment = email.utils.parsedate_to_datetime(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=dt.UTC)
            seconds = (moment - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 1.0), MAX_RETRY_AFTER_SECONDS)
