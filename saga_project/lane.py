"""The lane: lookups, the list, heartbeats and renewals, answered before Django's handler.

It is the server's own HTTP protocol with one question put in front: is this a call that ``registry.api.hot``
or ``registry.api.ready`` is sure of, with nothing unusual in it? Then its bytes are written at once, from
within the event loop, without a task, a scope or a thread. Everything else goes the server's ordinary way, to
``asgi`` and Django, whose views are the definition. ``SAGA_LANE=false`` starts the server without it.
"""

from __future__ import annotations

import asyncio
import functools
import wsgiref.util
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
import orjson
from django.conf import settings
from django.http.request import validate_host
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry import pulse
from registry.api import hot, intake, ready
from registry.api.hot import Asked, HandOn, Renewal
from registry.operations import Newcomer
from saga_project import api, errors, figures

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 0.5
SERVICES = b"/api/v1/services"
REGISTER = SERVICES + b"/register"
BULK_HEARTBEAT = SERVICES + b"/heartbeat"
_ONE = SERVICES + b"/"
_HEARTBEAT = b"/heartbeat"

# Headers that change no answer here; whatever is not known makes a request unusual.
_IDLE_HEADERS = frozenset(
    {
        *(b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"cache-control"),
        *(b"pragma", b"dnt", b"priority", b"traceparent", b"tracestate", b"via", b"forwarded"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-real-ip"),
        *(b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"),
    }
)
_READ_HEADERS = frozenset(
    {
        *(b"host", b"authorization", b"x-request-id", b"connection"),
        *(b"content-type", b"content-length"),
    }
)
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})

_GET_ONE, _GET_ALL, _POST = b"GET, DELETE, HEAD, OPTIONS", b"GET, HEAD, OPTIONS", b"POST, OPTIONS"
_OK = b"200 OK"
_LOOKUP, _LIST = figures.LANE["lookup"], figures.LANE["list"]
_BEAT, _BULK, _REGISTRATION = (
    figures.LANE[name] for name in ("heartbeat", "bulk_heartbeat", "registration")
)


_PROBES_OWN = frozenset({"Cache-Control"})


@functools.cache
def _head() -> bytes:
    """Return the head of an answer with holes: status, server's headers, allow, length, request id, more.

    What stands in it is said by Django's middleware, which is asked once.
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
    holes = {"allow": "%b", "content-length": "%d", "x-request-id": "%b"}
    lines = [f"{name}: {holes.get(name, value.replace('%', '%%'))}\r\n" for name, value in known]
    return ("HTTP/1.1 %b\r\n%b" + "".join(lines) + "%b\r\n").encode("latin-1")


class _Waiting:
    """Stands where the server keeps the request that is being answered, while Redis is asked."""

    message_event = asyncio.Event()  # nobody waits for it

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True


class LaneProtocol(HttpToolsProtocol):
    """One connection. A request is *held* between its headers and the decision who answers it."""

    pulse = pulse.Pulse()
    intake = intake.Intake()
    _default_headers: tuple[Any, bytes] = (None, b"")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_held = False
        self._is_whole = False
        self._held_body = b""
        self._held_timer: asyncio.TimerHandle | None = None
        self._waiting: _Waiting | None = None
        self._unread: list[bytes] = []

    @classmethod
    async def close_all(cls) -> None:
        """Let what is on its way end, and close what the connections share."""
        await cls.pulse.close()
        await cls.intake.close()

    # --- What the server calls --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            # The next request is read after this one is answered.
            self._unread.append(data)
            self.flow.pause_reading()
            return
        super().data_received(data)
        if self._is_held and self._is_whole:
            self._decide()
        elif self._is_held and self._held_timer is None:
            self._held_timer = self.loop.call_later(BODY_SECONDS, self._hand_on)

    def on_message_begin(self) -> None:
        if self._is_held:  # Pipelined: the server keeps such answers in order.
            self._hand_on()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self._may_be_ours():
            self._is_held, self._is_whole, self._held_body = True, False, b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._is_held:
            self._held_body += body
            if len(self._held_body) > MAX_BODY_BYTES:
                self._hand_on()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_held:
            self._is_whole = True
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    # --- Whose is it? -----------------------------------------------------------------------------

    def _may_be_ours(self) -> bool:
        url: bytes = self.url
        if not url.startswith(SERVICES) or self.flow.write_paused or self.expect_100_continue:
            return False
        method = self.parser.get_method()
        is_ours = method == b"GET" or (
            method == b"POST" and (url.endswith(_HEARTBEAT) or url == REGISTER)
        )
        # Of the connection's end the parser knows nothing any more once the whole message is read.
        return (
            is_ours and self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        )

    def _release(self) -> None:
        self._is_held = False
        if self._held_timer is not None:
            self._held_timer.cancel()
            self._held_timer = None

    def _hand_on(self) -> None:
        """Let the server go on as if it had just read what we held."""
        body, is_whole = self._held_body, self._is_whole
        self._release()
        super().on_headers_complete()
        if body:
            super().on_body(body)
        if is_whole:
            super().on_message_complete()

    def _decide(self) -> None:
        try:
            asked, request_id = self._read_headers()
            if self.parser.get_method() == b"GET":
                self._answer_read(asked, request_id)
            else:
                self._write_down(asked, request_id)
        except HandOn:
            self._hand_on()

    def _read_headers(self) -> tuple[Asked, str]:
        """Return what the headers say, if they say only what we know."""
        found: dict[bytes, bytes] = {}
        for name, value in self.headers:
            if name in _IDLE_HEADERS:
                continue
            if name not in _READ_HEADERS or name in found:
                raise HandOn
            found[name] = value
        if b"host" not in found or found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            raise HandOn
        is_typed = b"content-type" in found
        if (is_typed or self._held_body) and found.get(b"content-type") not in _JSON_TYPES:
            raise HandOn
        offered = found.get(b"x-request-id")
        asked = Asked(
            host=found[b"host"],
            address=self.client[0] if self.client else "",
            authorization=found.get(b"authorization"),
            body=self._held_body,
        )
        return asked, api.choose_request_id(offered.decode("latin-1") if offered else None)

    # --- Answering --------------------------------------------------------------------------------

    def _answer_read(self, asked: Asked, request_id: str) -> None:
        caller = hot.admit(asked, "services:read")
        if self.url == SERVICES:
            content, allow, cell = ready.listing(), _GET_ALL, _LIST
        else:
            content, allow, cell = ready.service(self._name(self.url)), _GET_ONE, _LOOKUP
        if content is None or asked.body:
            raise HandOn
        hot.count(asked, caller)
        figures.cells[cell] += 1
        self._release()
        self._write(_OK, allow, content, request_id)
        self.on_response_complete()

    def _name(self, url: bytes) -> str:
        if not url.startswith(_ONE):
            raise HandOn
        return url[len(_ONE) :].decode("latin-1")

    def _write_down(self, asked: Asked, request_id: str) -> None:
        """Ask Redis, or for a service that nobody knows PostgreSQL; the answer comes later."""
        url: bytes = self.url
        if url == BULK_HEARTBEAT:
            self._renew(hot.bulk_heartbeat(asked), _BULK, request_id)
        elif url != REGISTER:
            name = self._name(url[: -len(_HEARTBEAT)])
            self._renew(hot.heartbeat(name, asked), _BEAT, request_id)
        elif isinstance(work := hot.registration(asked), Renewal):
            self._renew(work, _REGISTRATION, request_id)
        else:
            self._let_in(work, request_id)

    def _renew(self, renewal: Renewal, cell: int, request_id: str) -> None:
        waiting = self._wait(request_id)

        def told(beats: list[int] | errors.Unavailable) -> None:
            if isinstance(beats, errors.Unavailable):
                self._go_on(waiting, lambda: self._refuse(beats, waiting))
            else:
                self._go_on(waiting, lambda: self._complete(renewal.answer(beats), cell, waiting))

        self.pulse.beat(renewal.members, told)

    def _let_in(self, newcomer: Newcomer, request_id: str) -> None:
        waiting = self._wait(request_id)

        def told(registered: intake.Answer) -> None:
            if isinstance(registered, errors.Unavailable):
                self._go_on(waiting, lambda: self._refuse(registered, waiting))
            else:
                self._go_on(
                    waiting,
                    lambda: self._complete(hot.registered(registered), _REGISTRATION, waiting),
                )

        self.intake.register(newcomer, told)

    def _wait(self, request_id: str) -> _Waiting:
        waiting = self._waiting = self.cycle = _Waiting(request_id)  # type: ignore[assignment]
        return waiting

    def _go_on(self, waiting: _Waiting, answer: Callable[[], None]) -> None:
        """Answer what was waited for, then read on where the client has sent more meanwhile."""
        self._waiting = None
        waiting.response_complete = True
        if waiting.disconnected:
            return
        try:
            answer()
        except HandOn:
            self._hand_on()
            self.cycle.keep_alive = waiting.keep_alive
        if self._unread:
            data, self._unread = b"".join(self._unread), []
            self.flow.resume_reading()
            self.data_received(data)

    def _refuse(self, reason: errors.Unavailable, waiting: _Waiting) -> None:
        code, body = api.render(reason, self.url.decode("latin-1"), waiting.request_id)
        status = b"%d %b" % (code, HTTPStatus(code).phrase.encode("ascii"))
        self._end(status, orjson.dumps(body), waiting)

    def _complete(self, content: bytes, cell: int, waiting: _Waiting) -> None:
        figures.cells[cell] += 1
        self._end(_OK, content, waiting)

    def _end(self, status: bytes, content: bytes, waiting: _Waiting) -> None:
        self._release()
        close = b"" if waiting.keep_alive else b"connection: close\r\n"
        self._write(status, _POST, content, waiting.request_id, more=close)
        self.on_response_complete()
        if close:
            self.transport.close()

    def _write(
        self, status: bytes, allow: bytes, content: bytes, request_id: str, *, more: bytes = b""
    ) -> None:
        identity = request_id.encode("ascii")
        head = _head() % (status, self._defaults(), allow, len(content), identity, more)
        self.transport.write(head + content)

    def _defaults(self) -> bytes:
        """Return the headers that the server puts on everything, as bytes; it makes new ones each second."""
        headers = self.server_state.default_headers
        known, content = LaneProtocol._default_headers
        if known is not headers:
            content = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            LaneProtocol._default_headers = headers, content
        return content
