"""After downtime: ask GitHub for the deliveries that never arrived, and act on each of them once.

https://docs.github.com/rest/repos/webhooks#list-deliveries-for-a-repository-webhook
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
from django.db.models import Q

from saga_project.shared import api, crypto, http_client, strict_json
from saga_project.shared import errors as saga_errors
from webhooks import errors
from webhooks.inbound import journal, update, verification
from webhooks.inbound.calls import Call, CallAnswer
from webhooks.models import GitHubHook, InboundCall
from webhooks.signatures import Proof

logger = logging.getLogger(__name__)

# GitHub keeps deliveries for three days.
MAX_AGE = dt.timedelta(days=3)
OVERLAP = dt.timedelta(hours=1)
PAGE_SIZE = 100
MAX_PAGES = 50
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_NEXT = re.compile(r'<[^>]*[?&]cursor=([^&>]+)[^>]*>;\s*rel="next"')


def recover_all(*, now: dt.datetime) -> int:
    """Recover from every enabled hook; one that cannot be asked does not cost the others their turn."""
    count = 0
    for hook in GitHubHook.objects.filter(is_enabled=True):
        since = max(hook.checked_at - OVERLAP, now - MAX_AGE) if hook.checked_at else now - MAX_AGE
        try:
            count += recover(hook, since=since, now=now)
        except saga_errors.SagaError as exc:
            GitHubHook.objects.filter(pk=hook.pk).update(error=exc.message)
            logger.warning("recovery failed", extra={"hook": str(hook), "error": exc.error})
    return count


def recover(hook: GitHubHook, *, since: dt.datetime, now: dt.datetime) -> int:
    """Act on what GitHub sent since then and we never got; return how many. Raises RecoveryFailed.

    One message that cannot be had, or says nothing that we understand, does not hold up the others.
    """
    missing = [row for row in _deliveries(hook, since=since) if not _is_known(row["guid"])]
    count = 0
    for row in reversed(missing):
        try:
            call = _read_call(hook, row)
        except (saga_errors.InvalidRequest, errors.DeliveryNotKept) as exc:
            logger.warning("recovered call unusable", extra={"hook": str(hook), "error": exc.error})
            continue
        count += _act(call, now=now)
    GitHubHook.objects.filter(pk=hook.pk).update(checked_at=now, error="")
    logger.info("recovered", extra={"hook": str(hook), "count": count})
    return count


def _deliveries(hook: GitHubHook, *, since: dt.datetime) -> Iterator[dict[str, Any]]:
    """Yield each message once, newest first; redeliveries share a message's guid."""
    cursor, seen = "", set[str]()
    for _ in range(MAX_PAGES):
        rows, cursor = _page(hook, cursor)
        for row in rows:
            if _delivered_at(row) < since:
                return
            if row["guid"] not in seen:
                seen.add(row["guid"])
                yield row
        if not cursor:
            return


def _delivered_at(row: dict[str, Any]) -> dt.datetime:
    moment = api.parse_time(str(row.get("delivered_at")))
    if moment is None:
        raise errors.RecoveryFailed("GitHub's list of deliveries does not say when they were made.")
    return moment


def _page(hook: GitHubHook, cursor: str) -> tuple[list[dict[str, Any]], str]:
    query = {"per_page": str(PAGE_SIZE)} | ({"cursor": cursor} if cursor else {})
    rows, headers = _ask(hook, f"deliveries?{urlencode(query)}")
    if not isinstance(rows, list) or not all(_is_delivery(row) for row in rows):
        raise errors.RecoveryFailed("GitHub's list of deliveries is not a list.")
    following = _NEXT.search(headers.get("link", ""))
    return rows, following.group(1) if following else ""


def _is_delivery(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), int)
        and isinstance(row.get("guid"), str)
    )


def _ask(hook: GitHubHook, path: str) -> tuple[Any, Any]:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if hook.sealed_token:
        headers["Authorization"] = f"Bearer {crypto.decrypt(hook.sealed_token)}"
    response = http_client.request(
        "GET",
        f"{hook.api_url.rstrip('/')}/repos/{hook.repository}/hooks/{hook.hook_id}/{path}",
        purpose="GitHub API",
        headers=headers,
        timeout_seconds=30.0,
        max_bytes=MAX_ANSWER_BYTES,
    )
    if response.status in (404, 410):
        raise errors.DeliveryNotKept(
            f"GitHub's API answered {response.status} for hook {hook}: it does not know it, or our token may"
            " not see it."
        )
    if response.status != 200:
        raise errors.RecoveryFailed(f"GitHub's API answered {response.status} for hook {hook}.")
    try:
        return orjson.loads(response.body), response.headers
    except orjson.JSONDecodeError:
        raise errors.RecoveryFailed("GitHub's API did not answer with JSON.") from None


def _is_known(guid: Any) -> bool:
    """Return whether the message arrived: it took effect, or its content was rejected."""
    return (
        InboundCall.objects.filter(message_id=f"github:{guid}")
        .filter(Q(verdict=InboundCall.Verdict.ACCEPTED) | Q(status__lt=500))
        .exists()
    )


def _read_call(hook: GitHubHook, row: dict[str, Any]) -> Call:
    """Return the call as GitHub meant to make it; the call to its API stands for the signature."""
    detail, _ = _ask(hook, f"deliveries/{row['id']}")
    request = detail.get("request") if isinstance(detail, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("payload"), dict):
        raise errors.DeliveryNotKept("GitHub's API returned a delivery without its payload.")
    raw = strict_json.dumps(request["payload"])
    call = Call(
        route=update.ROUTE,
        raw=raw,
        headers={"x-github-event": str(row.get("event")), "x-github-delivery": row["guid"]},
        document=api.read_json_object(raw),
        request_id=f"github-{row['id']}",
        proof=Proof.SIGNATURE,
    )
    return verification.identified(verification.named(call))


def _act(call: Call, *, now: dt.datetime) -> int:
    try:
        call.route.act(call, now)
    except saga_errors.SagaError as exc:
        body = {"error": exc.error, "message": exc.message}
        journal.refuse(call, CallAnswer(api.status_of(exc), body), now=now)
        return 0
    return 1
