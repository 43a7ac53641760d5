"""The heads of the fast path's answers, with the headers that Django's middleware puts on its own."""

from __future__ import annotations

import functools
import wsgiref.util
from typing import Any

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
from django.conf import settings
from django.http.request import validate_host

ON_ONE, ON_ALL, ON_CHANGES = (
    b"GET, DELETE, HEAD, OPTIONS",
    b"GET, HEAD, OPTIONS",
    b"POST, OPTIONS",
)
NOT_MODIFIED = b"304 Not Modified"
_PROBES_OWN = frozenset({"Cache-Control"})


class Heads:
    """Heads by the methods that a route allows; the server's own headers change once a second."""

    def __init__(self) -> None:
        self._made_for: Any = None
        self._whole: dict[bytes, bytes] = {}
        self._bare: dict[bytes, bytes] = {}

    def of(self, headers: list[tuple[bytes, bytes]], *, has_body: bool) -> dict[bytes, bytes]:
        """Return the heads with the server's ``headers``; they have holes for ``%``, as in ``_head``."""
        if self._made_for is not headers:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in headers).replace(b"%", b"%%")
            for each in (ON_ONE, ON_ALL, ON_CHANGES):
                self._whole[each] = _head(has_body=True) % (lines, each)
                self._bare[each] = _head(has_body=False) % (lines, each)
            self._made_for = headers
        return self._whole if has_body else self._bare


@functools.cache
def _head(*, has_body: bool) -> bytes:
    """Return the head of an answer with holes: server, allow; status, tag, length, request id, more.

    The first two are filled before the rest. What stands in it is said by Django's middleware, which is
    asked once. An answer without a body has no type.
    """
    known: list[tuple[str, str]] = []

    def start_response(_status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        known.extend((name.lower(), value) for name, value in headers if name not in _PROBES_OWN)

    own = validate_host("localhost", settings.ALLOWED_HOSTS)
    environ: dict[str, Any] = {
        "PATH_INFO": "/livez",
        "HTTP_HOST": "localhost" if own else settings.ALLOWED_HOSTS[0].lstrip("."),
    }
    wsgiref.util.setup_testing_defaults(environ)
    for _ in wsgi.application(environ, start_response):
        pass
    holes = {"content-length": "%%d", "x-request-id": "%%b"}
    lines = [
        "%%ballow: %b\r\n"
        if name == "allow"
        else f"{name}: {holes.get(name, value.replace('%', '%%%%'))}\r\n"
        for name, value in known
        if has_body or name != "content-type"
    ]
    return ("HTTP/1.1 %%b\r\n%b" + "".join(lines) + "%%b\r\n").encode("latin-1")
