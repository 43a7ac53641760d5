"""Send the audit trail on, entry by entry in its order, to a collector: syslog or a webhook.

After a fault an entry may be sent twice, and none is left out: how far it came is noted once the receiver
took it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson
from django.conf import settings

from saga_project.shared import http_client
from saga_project.shared.errors import SagaError, Unavailable
from updates.history import audit_exports
from updates.models import AuditCursor, AuditEntry

logger = logging.getLogger(__name__)

BATCH = 100
#: One run ends after so many, so that a long trail holds no worker.
MAX_BATCHES = 50
TIMEOUT_SECONDS = 10.0
#: RFC 5424: facility 13 is the audit's, severity 6 is information.
PRIORITY = 13 * 8 + 6
DEFAULT_PORT = 514
MAX_DATAGRAM_BYTES = 60_000


class NotForwarded(Unavailable):
    error = "Audit trail not forwarded"


def forward() -> int:
    """Send the entries that the receiver lacks, and return how many; 0 where none is configured."""
    url = settings.SAGA_AUDIT_FORWARD
    if not url:
        return 0
    key = hashlib.sha256(url.encode()).hexdigest()
    cursor, _ = AuditCursor.objects.get_or_create(receiver=key)
    count = 0
    for _ in range(MAX_BATCHES):
        last = cursor.sequence
        entries = list(AuditEntry.objects.filter(sequence__gt=last).order_by("sequence")[:BATCH])
        if not entries or not _is_sent(url, entries):
            return count
        cursor.sequence = entries[-1].sequence
        known = AuditCursor.objects.filter(pk=cursor.pk, sequence=last)
        if not known.update(sequence=cursor.sequence):
            return count  # another worker sends as well
        count += len(entries)
    return count


def _is_sent(url: str, entries: Sequence[AuditEntry]) -> bool:
    try:
        send(url, entries)
    except SagaError as exc:
        logger.warning("audit trail not forwarded", extra={"error": exc.message})
        return False
    return True


def send(url: str, entries: Sequence[AuditEntry]) -> None:
    """Send the entries to a receiver. Raises NotForwarded, and what the guarded client raises."""
    lines = [orjson.dumps(audit_exports.document(entry)) for entry in entries]
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        _post(url, b"\n".join(lines) + b"\n")
        return
    address = (parts.hostname or "", parts.port or DEFAULT_PORT)
    messages = [_message(entry, line) for entry, line in zip(entries, lines, strict=True)]
    try:
        if parts.scheme == "syslog+tcp":
            _stream(address, messages)
        else:
            _datagrams(address, messages)
    except OSError as exc:
        raise NotForwarded(f"The syslog server {parts.netloc} cannot be reached: {exc}") from exc


def _post(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/jsonl"}
    if secret := settings.SAGA_AUDIT_FORWARD_SECRET:
        signature = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
        headers["X-Webhook-Signature"] = f"sha256={signature}"
    answer = http_client.request(
        "POST",
        url,
        purpose="audit receiver",
        headers=headers,
        body=body,
        timeout_seconds=TIMEOUT_SECONDS,
        truncate=True,
    )
    if not 200 <= answer.status < 300:
        raise NotForwarded(f"The receiver of the audit trail answered {answer.status}.")


def _message(entry: AuditEntry, line: bytes) -> bytes:
    """Return a message of RFC 5424, whose text is the entry as the API shows it."""
    moment = entry.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = f"<{PRIORITY}>1 {moment} {settings.SAGA_NODE_NAME} saga - audit - "
    return head.encode("ascii", "replace") + line


def _datagrams(address: tuple[str, int], messages: Sequence[bytes]) -> None:
    family, kind, protocol, _, place = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sender:
        sender.settimeout(TIMEOUT_SECONDS)
        for message in messages:
            sender.sendto(message[:MAX_DATAGRAM_BYTES], place)


def _stream(address: tuple[str, int], messages: Sequence[bytes]) -> None:
    """Send with counted octets (RFC 6587), so that a message may hold any character."""
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as sender:
        for message in messages:
            sender.sendall(f"{len(message)} ".encode() + message)
