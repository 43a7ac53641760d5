"""The headers by which calls to the webhook routes are signed, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator

from drf_spectacular.utils import OpenApiParameter

from webhooks import signatures
from webhooks.inbound.senders import SENDERS

_TEXT = {"type": "string"}
_ID = {"type": "string", "pattern": r"^[!-~]{1,200}$"}
_SECONDS = f"Seconds since 1970; at most {signatures.TOLERANCE_SECONDS} from now."


def _header(name: str, meaning: str, schema: dict[str, str] | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, schema or _TEXT, OpenApiParameter.HEADER, description=meaning)


#: What Saga's own routes accept. A signature stands for a token where the service has a secret.
OWN = [
    _header(
        "X-Webhook-Signature",
        "HMAC-SHA256 of the body by the service's secret, in hex, with or without `sha256=`. Instead: one of"
        " the other signatures, or a token.",
    ),
    _header("X-Hub-Signature-256", "The same with `sha256=`, as GitHub sends it."),
    _header(
        "webhook-signature",
        "Standard Webhooks: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64; several with spaces.",
    ),
    _header("webhook-timestamp", f"Standard Webhooks: {_SECONDS}"),
    _header("webhook-id", "Standard Webhooks: a call with the same id acts once.", _ID),
    _header("X-GitHub-Delivery", "The id of GitHub's webhooks: acts once.", _ID),
]
SLACK = [
    _header(
        "X-Slack-Signature", "Slack's signature by the app's signing secret; without one, 401."
    ),
    _header("X-Slack-Request-Timestamp", f"Slack's: {_SECONDS}"),
]


def _of_senders() -> Iterator[OpenApiParameter]:
    signed: dict[str, list[str]] = {}
    shown: dict[str, list[str]] = {}
    for sender in SENDERS.values():
        for name in sender.signature_headers:
            signed.setdefault(name, []).append(sender.title)
        if sender.secret_header:
            shown.setdefault(sender.secret_header, []).append(sender.title)
    for name, titles in signed.items():
        yield _header(name.title(), f"HMAC-SHA256 of the body in hex: {', '.join(titles)}.")
    for name, titles in shown.items():
        yield _header(name.title(), f"The secret itself: {', '.join(titles)}.")
    by_address = [sender.title for sender in SENDERS.values() if sender.takes_access_token]
    yield OpenApiParameter(
        "access_token",
        _TEXT,
        description=f"The secret, where only the address can be set: {', '.join(by_address)}.",
    )


#: What calls of foreign senders may carry beside the headers of Saga's own routes.
FOREIGN = [*_of_senders()]
