"""Pages with a live part: the same template inside the page and alone, sent only where it changed."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

FRAGMENT_HEADER = "X-Saga-Fragment"
DIGEST_HEADER = "X-Saga-Digest"
ONWARD_HEADER = "X-Saga-Onward"


def answer(
    request: HttpRequest, *, page: str, live: str, context: dict[str, Any], site: dict[str, Any]
) -> HttpResponse:
    """Return the whole ``page``, or, where the script asks for it, its ``live`` part (204: unchanged)."""
    html = render_to_string(live, context, request)
    digest = hashlib.sha256(html.encode()).hexdigest()[:16]
    if request.headers.get(FRAGMENT_HEADER):
        return _part(html, digest, is_known=request.headers.get(DIGEST_HEADER) == digest)
    parts = {"live_html": html, "live_digest": digest, "live_url": request.get_full_path()}
    return TemplateResponse(request, page, {**site, **context, **parts})


def _part(html: str, digest: str, *, is_known: bool) -> HttpResponse:
    response = HttpResponse(status=204) if is_known else HttpResponse(html)
    response[DIGEST_HEADER] = digest
    response["Cache-Control"] = "no-store"
    return response
