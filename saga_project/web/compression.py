"""What browsers wait for: static files that they keep, and pages and documents in a third of their size.

Django's own compression adds random bytes, against BREACH, and its forms mask their token anew each time.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from saga_project.shared import static_files

#: The fast path answers here as well, byte for byte the same, and has no time to compress.
PLAIN = ("/api/v1/services", "/api/v1/registry", "/api/v1/events")


class CompressionMiddleware(GZipMiddleware):
    """Compresses for clients that accept gzip."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path_info.startswith(PLAIN):
            return response
        return super().process_response(request, response)


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves collected files, compressed, under names that change with their content."""

    FOREVER = 365 * 24 * 3600

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        collected = static_files.folder()
        if collected.is_dir():
            self.add_files(str(collected), prefix=self.static_prefix)
