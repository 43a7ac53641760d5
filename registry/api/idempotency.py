"""``Idempotency-Key``: the same POST again gets the first answer, and acts once.

The key is claimed by a row before the view runs and holds the answer afterwards. A twin that comes
meanwhile waits for that answer. A claim without an answer is free again after a minute: its process died,
and its progress is unknown.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Callable

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import timezone

from registry.api import authentication
from registry.models import IdempotencyKey
from saga_project.shared import api, crypto
from saga_project.shared import errors as saga_errors

logger = logging.getLogger(__name__)

KEPT = dt.timedelta(hours=24)
CLAIM_LASTS = dt.timedelta(minutes=1)
TWIN_WAITS_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.02

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
_SIGNATURE_HEADERS = (
    "X-Webhook-Signature",
    "X-Hub-Signature-256",
    "webhook-signature",
)


class InvalidKey(saga_errors.InvalidRequest):
    error = "Invalid Idempotency-Key"


class KeyUsed(saga_errors.Conflict):
    error = "Idempotency-Key was used with another request"


class TwinRunning(saga_errors.Conflict):
    error = "Request is still being processed"


class IdempotencyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key")
        if key is None or request.method != "POST" or not request.path.startswith("/api/v1/"):
            return self.get_response(request)
        try:
            claim = _claim(request, key)
        except (OperationalError, InterfaceError):
            return _refusal(request, saga_errors.DatabaseUnavailable("Try again in a moment."))
        except saga_errors.SagaError as exc:
            return _refusal(request, exc)
        if claim is None:
            return self.get_response(request)
        if claim.status is not None:
            return _replay(claim)
        return self._run(request, claim)

    def _run(self, request: HttpRequest, claim: IdempotencyKey) -> HttpResponseBase:
        response = self.get_response(request)
        try:
            _settle(claim, response)
        except (OperationalError, InterfaceError):
            logger.warning("answer not kept", extra={"route": claim.route})
        return response


def _claim(request: HttpRequest, key: str) -> IdempotencyKey | None:
    """Return the row of this key: new, or answered. None where the view refuses the request anyway."""
    if _KEY.fullmatch(key) is None:
        raise InvalidKey("An Idempotency-Key has 1-255 printable ASCII characters without spaces.")
    account = _account_of(request)
    if account is None or not _is_plain(request):
        return None
    row = IdempotencyKey(
        account=account,
        route=request.path.rstrip("/"),
        key=key,
        request_digest=hashlib.sha256(request.body).hexdigest(),
    )
    give_up_at = time.monotonic() + TWIN_WAITS_SECONDS
    while True:
        held = _insert_or_find(row, now=timezone.now())
        if held.request_digest != row.request_digest:
            raise KeyUsed("This Idempotency-Key came with another body before; use a new one.")
        if held.pk == row.pk or held.status is not None:
            return held
        if time.monotonic() > give_up_at:
            raise TwinRunning(
                "The first request with this Idempotency-Key is still being processed.",
                retry_after_seconds=1,
            )
        time.sleep(LOOK_AGAIN_SECONDS)


def _is_plain(request: HttpRequest) -> bool:
    """Whether a row can hold the route and memory the body; the view refuses what is not."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    has_size = length.isdecimal() and int(length) <= api.MAX_BODY_BYTES
    return (
        has_size
        and request.path.isascii()
        and request.path.isprintable()
        and len(request.path) < 512
    )


def _insert_or_find(row: IdempotencyKey, *, now: dt.datetime) -> IdempotencyKey:
    """Return ``row`` once it is inserted, or the one that holds its place."""
    place = {"account": row.account, "route": row.route, "key": row.key}
    held, is_new = IdempotencyKey.objects.get_or_create(
        **place, defaults={"request_digest": row.request_digest, "created_at": now}
    )
    if not is_new and _is_over(held, now=now):
        IdempotencyKey.objects.filter(pk=held.pk, status=held.status).delete()
        return _insert_or_find(row, now=now)
    if is_new:
        row.pk = held.pk
    return held


def _is_over(row: IdempotencyKey, *, now: dt.datetime) -> bool:
    return row.created_at < now - (KEPT if row.status is not None else CLAIM_LASTS)


def _account_of(request: HttpRequest) -> str | None:
    """Return the name that the request acts in, None where the view will reject it.

    A signed caller differs from an unsigned one, so that no unsigned call gets the answer
    that a signed one got.
    """
    try:
        view = resolve(request.path_info).func.cls()  # type: ignore[attr-defined]
        caller = authentication.authenticate(request)
        authentication.authorise(request, view, caller=caller)
    except (Resolver404, AttributeError, saga_errors.SagaError):
        return None
    if caller is not None:
        return f"account {caller}"
    signatures = [request.headers.get(name, "") for name in _SIGNATURE_HEADERS]
    if any(signatures):
        return hashlib.sha256("\n".join(signatures).encode()).hexdigest()
    return "" if authentication.is_open_to(request) else "unsigned"


def _settle(claim: IdempotencyKey, response: HttpResponseBase) -> None:
    """Keep a 2xx answer, sealed, because it may show a secret once; else let the key go."""
    row = IdempotencyKey.objects.filter(pk=claim.pk, status__isnull=True)
    if isinstance(response, HttpResponse) and 200 <= response.status_code < 300:
        row.update(status=response.status_code, body=crypto.encrypt(response.content.decode()))
    else:
        row.delete()


def _replay(claim: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(
        crypto.decrypt(claim.body), status=claim.status, content_type="application/json"
    )
    response["Idempotent-Replayed"] = "true"
    return response


def _refusal(request: HttpRequest, exc: saga_errors.SagaError) -> HttpResponse:
    status, body = api.render(exc, request.path, api.request_id_of(request))
    response = HttpResponse(orjson.dumps(body), status=status, content_type="application/json")
    if exc.retry_after_seconds is not None:
        response["Retry-After"] = str(exc.retry_after_seconds)
    return response
