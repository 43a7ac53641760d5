"""Ask an instance itself how it is."""

from __future__ import annotations

from saga_project.shared import errors, http_client

PROBE_TIMEOUT_SECONDS = 5.0


def probe(url: str) -> str | None:
    """Return why a health URL does not vouch for the instance, None if it does."""
    try:
        answer = http_client.request(
            "GET", url, purpose="health", timeout_seconds=PROBE_TIMEOUT_SECONDS, truncate=True
        )
    except errors.SagaError as exc:
        return exc.message.removesuffix(".")
    return None if 200 <= answer.status < 300 else f"the health URL answered {answer.status}"
