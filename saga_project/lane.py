"""The lane: lookups, the list, heartbeats and renewals, answered before Django's handler.

It is the server's own HTTP protocol with one question put in front: are these bytes one whole request that
``registry.api.hot`` or ``registry.api.ready`` is sure of, with nothing unusual in it? Then its answer is
written at once, from within the event loop, without a parser, a task, a scope or a thread. Everything else
goes the server's ordinary way, to ``asgi`` and Django, whose views are the definition. ``SAGA_LANE=false``
starts the server without it.
"""

from __future__ import annotations

import asyncio
import functools
import time
import wsgiref.util
from http import HTTPStatus
from typing import Any, NamedTuple

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
import orjson
from django.conf import settings
from django.http.request import validate_host
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry import pulse
from registry.api import hot, intake, ready
from registry.api.hot import HandOn, Renewal
from registry.operations import Newcomer, Registered
from saga_project import api, errors, figures, heads
from saga_project.heads import Head

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 0.5
LARGE_BYTES = 16 * 1024  # Below it one copy costs less than a second buffer.
SERVICES = b"/api/v1/services"
REGISTER = SERVICES + b"/register"
BULK_HEARTBEAT = SERVICES + b"/heartbeat"
_ONE = SERVICES + b"/"
_HEARTBEAT = b"/heartbeat"
_GET, _POST, _VERSION = b"GET " + SERVICES, b"POST " + SERVICES, b" HTTP/1.1"

_ON_ONE, _ON_ALL, _ON_CHANGES = (
    b"GET, DELETE, HEAD, OPTIONS",
    b"GET, HEAD, OPTIONS",
    b"POST, OPTIONS",
)
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


class _Request(NamedTuple):
    """A request that may be ours; ``raw`` are all its bytes, for whoever answers it otherwise."""

    raw: bytes
    is_read: bool
    url: bytes
    head: Head
    body: bytes


class _Incomplete(Exception):
    """The rest of the body is still to come."""


def _read(raw: bytes) -> _Request | None:
    """Return the one whole request that ``raw`` is, None where it may not be ours; raises _Incomplete."""
    is_read = raw.startswith(_GET)
    if not is_read and not raw.startswith(_POST):
        return None
    lines, end, body = raw.partition(b"\r\n\r\n")
    line, _, lines = lines.partition(b"\r\n")
    if not end or not line.endswith(_VERSION):
        return None
    url = line[len(b"GET " if is_read else b"POST ") : -len(_VERSION)]
    if not is_read and not url.endswith(_HEARTBEAT) and url != REGISTER:
        return None
    head = heads.read(lines)
    if head is None or len(body) > head.length:
        return None
    if head.length and (is_read or not head.is_json or head.length > MAX_BODY_BYTES):
        return None
    if len(body) < head.length:
        raise _Incomplete
    return _Request(raw, is_read, url, head, body)


class _Waiting:
    """Stands where the server keeps the request that is being answered, while Redis is asked."""

    message_event = asyncio.Event()  # nobody waits for it
    response_complete = False
    disconnected = False
    keep_alive = True

    def __init__(self, request: _Request) -> None:
        self.request = request
        self.request_id = api.choose_request_id(request.head.request_id)


class LaneProtocol(HttpToolsProtocol):
    """One connection. While a request of ours is being answered, what comes after it is kept unread."""

    pulse = pulse.Pulse()
    intake = intake.Intake()
    _default_headers: tuple[Any, bytes] = (None, b"")
    _accepted_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._share_connections()
        self._is_parsing = False
        self._begun = b""
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: _Waiting | None = None
        self._unread: list[bytes] = []
        self._answered_at = 0.0

    @classmethod
    async def close_all(cls) -> None:
        """Let what is on its way end, and close what the connections share."""
        await cls.pulse.close()
        await cls.intake.close()

    def _share_connections(self) -> None:
        """Let another web process take the next of many connections that come at once.

        A server takes all that wait in one turn of its loop, whose clock stands still meanwhile; as libuv
        once did under UV_TCP_SINGLE_ACCEPT, the least sleep that there is lets the others have some.
        """
        now = self.loop.time()
        if now == LaneProtocol._accepted_at:
            time.sleep(1e-9)
        LaneProtocol._accepted_at = now

    # --- What the server calls --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            # The next request is read after this one is answered.
            self._unread.append(data)
            self.flow.pause_reading()
            return
        if self._patience is not None:
            data = self._begun + data
        try:
            request = _read(data) if self._is_between_requests() else None
        except _Incomplete:
            self._begun = data
            if self._patience is None:
                self._patience = self.loop.call_later(BODY_SECONDS, self._give_up_waiting)
            return
        if self._patience is not None:
            self._take_begun()
        if request is None or not self._answer(request):
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._is_parsing = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._is_parsing = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_begun()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing came for long; a timer a request would cost more."""
        is_busy = self._waiting is not None or self._patience is not None
        idle = 0.0 if is_busy else self.loop.time() - self._answered_at
        if idle < self.timeout_keep_alive:
            self._keep_alive(self.timeout_keep_alive - idle)
        else:
            super().timeout_keep_alive_handler()

    # --- Whose is it? -----------------------------------------------------------------------------

    def _is_between_requests(self) -> bool:
        is_idle = self.cycle is None or self.cycle.response_complete
        return is_idle and not self._is_parsing and not self.flow.write_paused

    def _take_begun(self) -> bytes:
        data, self._begun = self._begun, b""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        return data

    def _give_up_waiting(self) -> None:
        super().data_received(self._take_begun())

    def _answer(self, request: _Request) -> bool:
        """Answer now or as soon as Redis has; False where somebody else must."""
        try:
            if request.is_read:
                self._answer_read(request)
            else:
                self._write_down(request)
        except HandOn:
            return False
        return True

    # --- Answering --------------------------------------------------------------------------------

    def _answer_read(self, request: _Request) -> None:
        caller = hot.admit(request.head, "services:read")
        if request.url == SERVICES:
            content, allow, cell = ready.listing(), _ON_ALL, _LIST
        else:
            content, allow, cell = ready.service(_name_in(request.url)), _ON_ONE, _LOOKUP
        if content is None:
            raise HandOn
        hot.count(self._address(), caller)
        figures.cells[cell] += 1
        self._write(_OK, allow, content, api.choose_request_id(request.head.request_id))

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _write_down(self, request: _Request) -> None:
        """Ask Redis, or for a service that nobody knows PostgreSQL; the answer comes later."""
        url, asked = request.url, (request.head, request.body, self._address())
        if url == BULK_HEARTBEAT:
            self._renew(hot.bulk_heartbeat(*asked), _BULK, request)
        elif url != REGISTER:
            name = _name_in(url[: -len(_HEARTBEAT)])
            self._renew(hot.heartbeat(name, *asked), _BEAT, request)
        elif isinstance(work := hot.registration(*asked), Renewal):
            self._renew(work, _REGISTRATION, request)
        else:
            self._let_in(work, request)

    def _renew(self, renewal: Renewal, cell: int, request: _Request) -> None:
        waiting = self._wait(request)

        def told(beats: list[int] | errors.Unavailable) -> None:
            self._go_on(
                waiting,
                beats if isinstance(beats, errors.Unavailable) else renewal.answer(beats),
                cell,
            )

        self.pulse.beat(renewal.members, told)

    def _let_in(self, newcomer: Newcomer, request: _Request) -> None:
        waiting = self._wait(request)

        def told(registered: intake.Answer) -> None:
            answer = (
                hot.registered(registered) if isinstance(registered, Registered) else registered
            )
            self._go_on(waiting, answer, _REGISTRATION)

        self.intake.register(newcomer, told)

    def _wait(self, request: _Request) -> _Waiting:
        waiting = self._waiting = self.cycle = _Waiting(request)  # type: ignore[assignment]
        return waiting

    def _go_on(
        self, waiting: _Waiting, answer: bytes | errors.Unavailable | None, cell: int
    ) -> None:
        """Answer what was waited for (None: Django must), then read on where more came meanwhile."""
        self._waiting = None
        waiting.response_complete = True
        if waiting.disconnected:
            return
        if answer is None:
            super().data_received(waiting.request.raw)
            self.cycle.keep_alive = waiting.keep_alive
        elif isinstance(answer, errors.Unavailable):
            self._refuse(answer, waiting)
        else:
            figures.cells[cell] += 1
            self._end(_OK, answer, waiting)
        if self._unread:
            data, self._unread = b"".join(self._unread), []
            self.flow.resume_reading()
            self.data_received(data)

    def _refuse(self, reason: errors.Unavailable, waiting: _Waiting) -> None:
        code, body = api.render(reason, waiting.request.url.decode("latin-1"), waiting.request_id)
        status = b"%d %b" % (code, HTTPStatus(code).phrase.encode("ascii"))
        self._end(status, orjson.dumps(body), waiting)

    def _end(self, status: bytes, content: bytes, waiting: _Waiting) -> None:
        close = b"" if waiting.keep_alive else b"connection: close\r\n"
        self._write(status, _ON_CHANGES, content, waiting.request_id, more=close)
        if close:
            self.transport.close()

    def _write(
        self, status: bytes, allow: bytes, content: bytes, request_id: str, *, more: bytes = b""
    ) -> None:
        identity = request_id.encode("ascii")
        head = _head() % (status, self._defaults(), allow, len(content), identity, more)
        if len(content) < LARGE_BYTES:
            self.transport.write(head + content)
        else:
            self.transport.writelines((head, content))
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _defaults(self) -> bytes:
        """Return the headers that the server puts on everything, as bytes; it makes new ones each second."""
        headers = self.server_state.default_headers
        known, content = LaneProtocol._default_headers
        if known is not headers:
            content = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            LaneProtocol._default_headers = headers, content
        return content


def _name_in(url: bytes) -> str:
    if not url.startswith(_ONE):
        raise HandOn
    return url[len(_ONE) :].decode("latin-1")
