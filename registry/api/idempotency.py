"""``Idempotency-Key``: the same POST again gets the first answer, and acts once.

Key, effect and answer are committed in one transaction (``registry.idempotency``), so a process that is
killed leaves either all of them or none. A request with the same key waits meanwhile on the unique index.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import orjson
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils import timezone

from registry import errors, idempotency
from registry.api import authentication
from registry.idempotency import Use
from registry.models import IdempotencyKey
from saga_project.shared import api, crypto
from saga_project.shared import errors as saga_errors

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
_SIGNATURE_HEADERS = (
    "X-Webhook-Signature",
    "X-Hub-Signature-256",
    "webhook-signature",
    "X-Hub-Signature",
    "X-Gitea-Signature",
    "X-Forgejo-Signature",
    "X-Gogs-Signature",
    "X-Gitlab-Token",
)


class IdempotencyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key")
        if key is None or request.method != "POST" or not request.path.startswith("/api/v1/"):
            return self.get_response(request)
        try:
            view = _view_of(request)
            use = _use_of(request, view, key=key)
            if use is None or view is None:
                return self.get_response(request)
            if view.calls_out:
                return self._act_beside(request, use)
            return self._act_inside(request, use)
        except (DatabaseError, InterfaceError, saga_errors.SagaError) as exc:
            return _refusal(request, exc)

    def _act_inside(self, request: HttpRequest, use: Use) -> HttpResponseBase:
        """Run the view in the transaction that holds the key."""
        try:
            with idempotency.transaction():
                earlier = idempotency.acquire(use, now=timezone.now())
                if earlier is not None:
                    return _replay(earlier)
                response = self.get_response(request)
                _settle(use, response)
        except _RolledBack as exc:
            return exc.response
        return response

    def _act_beside(self, request: HttpRequest, use: Use) -> HttpResponseBase:
        """Run a view that calls other servers: its operation keeps the answer in a transaction of its own."""
        now = timezone.now()
        earlier = idempotency.find(use, now=now)
        if earlier is None:
            with idempotency.pending(use, now=now):
                response = self.get_response(request)
            is_second = response.status_code == 409
            earlier = idempotency.find(use, now=now) if is_second else None
            if earlier is None:
                return response
        return _replay(earlier)


def _settle(use: Use, response: HttpResponseBase) -> None:
    content = response.content if isinstance(response, HttpResponse) else b""
    try:
        idempotency.settle(use, status=response.status_code, content=content)
    except (DatabaseError, InterfaceError):
        if response.status_code < 300:
            raise
        raise _RolledBack(response) from None


class _RolledBack(Exception):
    """The request failed and its transaction is broken: only the answer is left."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__()
        self.response = response


def _view_of(request: HttpRequest) -> api.SagaView | None:
    try:
        return api.view_of(resolve(request.path_info).func)
    except Resolver404:
        return None


def _use_of(request: HttpRequest, view: api.SagaView | None, *, key: str) -> Use | None:
    """Return what the key stands for; None where the view refuses the request anyway."""
    if _KEY.fullmatch(key) is None:
        raise errors.InvalidIdempotencyKey(
            "An Idempotency-Key has 1-255 printable ASCII characters without spaces."
        )
    account = _account_of(request, view) if view is not None else None
    if account is None or not _is_plain(request):
        return None
    return Use(
        account=account,
        route=request.path.rstrip("/"),
        key=key,
        request_digest=hashlib.sha256(request.body).hexdigest(),
    )


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


def _account_of(request: HttpRequest, view: api.SagaView) -> str | None:
    """Return in whose name the request acts, None where the view will refuse it.

    A signature or a shown secret names another caller than none does, so that an unsigned call never gets
    the answer to a signed one.
    """
    try:
        caller = authentication.authenticate(request)
        authentication.authorise(request, view, caller=caller)
    except saga_errors.SagaError:
        return None
    if caller is not None:
        return f"account {caller.account.name}"  # a person may be called as another account is
    signatures = [request.headers.get(name, "") for name in _SIGNATURE_HEADERS]
    signatures.append(request.GET.get("access_token", ""))
    if any(signatures):
        return hashlib.sha256("\n".join(signatures).encode()).hexdigest()
    return "" if authentication.is_open_to(request) else "unsigned"


def _replay(row: IdempotencyKey) -> HttpResponse:
    if row.status is None:  # a process of the previous release holds it
        raise errors.IdempotencyKeyRunning(
            "The first request with this Idempotency-Key is still being processed.",
            retry_after_seconds=1,
        )
    response = HttpResponse(
        crypto.decrypt(row.body), status=row.status, content_type="application/json"
    )
    response["Idempotent-Replayed"] = "true"
    return response


def _refusal(request: HttpRequest, exc: Exception) -> HttpResponse:
    known = api.translate(exc)
    if known is None:
        raise exc
    status, body = api.render(known, request.path, api.request_id_of(request))
    response = HttpResponse(orjson.dumps(body), status=status, content_type="application/json")
    if known.retry_after_seconds is not None:
        response["Retry-After"] = str(known.retry_after_seconds)
    return response
