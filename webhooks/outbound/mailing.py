"""Send a message by e-mail, through the server that the operator configured (Django's backend)."""

from __future__ import annotations

import logging
import smtplib
import uuid

from django.conf import settings
from django.core import mail

from saga_project.shared import strict_json
from webhooks.outbound.claims import ClaimedDelivery
from webhooks.outbound.retry_schedule import AttemptOutcome

logger = logging.getLogger(__name__)

SENT = 250
_PERMANENT = 500


def send(claimed: ClaimedDelivery, *, timeout_seconds: float) -> AttemptOutcome:
    """Make one attempt. A server that refuses for good (5xx) is not asked again."""
    if not settings.EMAIL_HOST:
        text = "No mail server is configured: set SAGA_EMAIL_HOST."
        return AttemptOutcome(error=text, is_refused=True)
    connection = mail.get_connection(timeout=timeout_seconds)
    try:
        _message(claimed, connection=connection).send()
    except smtplib.SMTPRecipientsRefused as exc:
        worst = max((code for code, _ in exc.recipients.values()), default=_PERMANENT)
        return _refused(worst, str(exc.recipients))
    except smtplib.SMTPResponseException as exc:
        return _refused(exc.smtp_code, _text(exc.smtp_error))
    except (smtplib.SMTPException, OSError) as exc:
        return AttemptOutcome(error=f"The mail server did not take it: {exc}"[:500])
    except Exception:
        logger.exception("mail broke", extra={"delivery_id": str(claimed.delivery_id)})
        return AttemptOutcome(error="Saga failed to send the mail; its log says why.")
    return AttemptOutcome(status=SENT, answer="The mail server took it.")


def _message(claimed: ClaimedDelivery, *, connection: object) -> mail.EmailMultiAlternatives:
    payload = strict_json.loads(claimed.body)
    _, _, domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")
    message = mail.EmailMultiAlternatives(
        payload["subject"],
        payload["text"],
        to=list(claimed.addresses),
        connection=connection,
        headers={
            "Message-ID": f"<{_id(claimed.delivery_id)}@{domain.rstrip('>') or 'saga'}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(payload["html"], "text/html")
    return message


def _id(delivery_id: uuid.UUID) -> str:
    return f"saga-{delivery_id.hex}"


def _refused(code: int, text: str) -> AttemptOutcome:
    error = f"The mail server answered {code}: {text}"[:500]
    # Wrong credentials are the operator's to correct: the message waits for that.
    is_permanent = code >= _PERMANENT and code not in (530, 534, 535)
    return AttemptOutcome(error=error, is_refused=is_permanent)


def _text(raw: object) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
