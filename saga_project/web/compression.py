"""What browsers wait for: static files that they keep, and pages and documents in a third of their size.

Django's own compression adds random bytes, against BREACH, and its forms mask their token anew each time.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware

from saga_project.shared import static_files, zstandard

#: The fast path answers here as well, byte for byte the same, and has no time to compress.
PLAIN = ("/api/v1/services", "/api/v1/registry", "/api/v1/events")


#: Below this many bytes an answer stays as it is, as in Django.
SHORTEST = 200
ZSTD_LEVEL = 3
#: Frames that every decompressor skips: the place for random bytes in a zstd stream (RFC 8878, 3.1.2).
SKIPPABLE_FRAME = b"\x50\x2a\x4d\x18"
MAX_RANDOM_BYTES = 100


class CompressionMiddleware(GZipMiddleware):
    """Compresses for clients that accept zstd, which takes a sixth of gzip's time, or gzip.

    Brotli has no place for random bytes; streams are sent with gzip.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path_info.startswith(PLAIN):
            return response
        if isinstance(response, HttpResponse) and accepts_zstd(request):
            compress(response)
            return response
        return super().process_response(request, response)


def accepts_zstd(request: HttpRequest) -> bool:
    """Return whether the client accepts zstd by its name, not with the quality 0."""
    for accepted in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, *parameters = (part.strip() for part in accepted.split(";"))
        if name == "zstd":
            return not any(each.startswith("q=") and _is_zero(each[2:]) for each in parameters)
    return False


def _is_zero(quality: str) -> bool:
    try:
        return float(quality) == 0
    except ValueError:
        return True


def compress(response: HttpResponse) -> None:
    """Compress the content in place where that makes it shorter; a strong tag becomes a weak one."""
    if len(response.content) < SHORTEST or response.has_header("Content-Encoding"):
        return
    patch_vary_headers(response, ("Accept-Encoding",))
    padding = secrets.token_bytes(1 + secrets.randbelow(MAX_RANDOM_BYTES))
    skipped = SKIPPABLE_FRAME + len(padding).to_bytes(4, "little") + padding
    content = skipped + zstandard.compress(response.content, ZSTD_LEVEL)
    if len(content) >= len(response.content):
        return
    response.content = content
    response["Content-Length"] = str(len(content))
    response["Content-Encoding"] = "zstd"
    tag = response.get("ETag", "")
    if tag.startswith('"'):
        response["ETag"] = f"W/{tag}"


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves collected files, compressed, under names that change with their content."""

    FOREVER = 365 * 24 * 3600

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        collected = static_files.folder()
        if collected.is_dir():
            self.add_files(str(collected), prefix=self.static_prefix)
