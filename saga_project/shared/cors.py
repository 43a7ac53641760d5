"""Headers of calls from pages of other sites: what they may send, and what they may read."""

from __future__ import annotations

from corsheaders.defaults import default_headers

ALLOWED_HEADERS = (
    *default_headers,
    *("cache-control", "idempotency-key", "if-match", "if-none-match", "last-event-id"),
    *("webhook-id", "webhook-signature", "webhook-timestamp", "x-request-id"),
    "x-webhook-signature",
)
EXPOSED_HEADERS = (
    *("content-disposition", "etag", "location", "retry-after", "x-request-id"),
    *("x-saga-stale", "x-saga-warning"),
)
