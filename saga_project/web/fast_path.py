"""The fast path: lookups, the list, heartbeats and renewals, answered before Django's handler.

It is the server's own HTTP protocol with one question put in front: are these bytes one whole request that
``registry.fast.requests`` or ``registry.fast.rendered_lists`` is sure of, with nothing unusual in it? Then
its answer is written at once, from within the event loop, without a parser, a task, a scope or a thread.
Everything else goes the server's ordinary way, to ``asgi`` and Django, where the views are the definition.
``SAGA_FAST_PATH=false`` starts the server without it.
"""

from __future__ import annotations

import asyncio
import functools
import wsgiref.util
from http import HTTPStatus
from typing import Any, ClassVar

from saga_project import wsgi  # sets Django up, before anything imports its models

# isort: split
import orjson
from django.conf import settings
from django.http.request import validate_host

from registry.fast import (
    heartbeat_batcher,
    registration_batcher,
    rendered_lists,
    requests,
    resolutions,
)
from registry.fast.requests import PassToDjango, PendingRenewal
from registry.operations import NewRegistration, Registered
from saga_project.shared import api, callers, counters, errors, request_heads
from saga_project.shared.request_heads import Head
from saga_project.web.accepting import SharingProtocol

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 0.5
LARGE_BYTES = 16 * 1024  # Below it one copy costs less than a second buffer.
#: What a request's first line may be, up to its version.
_LIST_ALL = b"GET /api/v1/services"
_LOOK_UP = b"GET /api/v1/services/"
_REGISTER = b"POST /api/v1/services/register"
_BEAT_MANY = b"POST /api/v1/services/heartbeat"
_BEAT, _BEAT_END = b"POST /api/v1/services/", b"/heartbeat"
_LINE_END, _HEAD_END = b" HTTP/1.1\r\n", b"\r\n\r\n"

_ON_ONE, _ON_ALL, _ON_CHANGES = (
    b"GET, DELETE, HEAD, OPTIONS",
    b"GET, HEAD, OPTIONS",
    b"POST, OPTIONS",
)
_OK, _NOT_MODIFIED = b"200 OK", b"304 Not Modified"
_LOOKUPS, _LISTS, _BEATS, _BULK_BEATS, _REGISTRATIONS, _RESOLUTIONS = (
    counters.FAST_PATH[name]
    for name in ("lookup", "list", "heartbeat", "bulk_heartbeat", "registration", "resolve")
)
_PROBES_OWN = frozenset({"Cache-Control"})


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


class _Request:
    """A request that the fast path may answer; ``raw`` holds all its bytes for the ordinary way.

    While Redis is asked, it stands where the server keeps the request that is being answered.
    """

    message_event = asyncio.Event()  # required by the protocol, unused here
    response_complete = False
    disconnected = False
    keep_alive = True

    def __init__(self, raw: bytes, line: bytes, head: Head, body: bytes) -> None:
        self.raw = raw
        self.line = line
        self.head = head
        self.body = body


class _Incomplete(Exception):
    """The rest of the body is still to come."""


def _read(raw: bytes, reader: request_heads.Reader) -> _Request | None:
    """Return the one whole request that ``raw`` is, None where it may not be ours; raises _Incomplete."""
    line, _, rest = raw.partition(_LINE_END)
    is_read = line.startswith(_LIST_ALL)
    if not is_read and line != _REGISTER and not line.endswith(_BEAT_END):
        return None
    lines, end, body = rest.partition(_HEAD_END)
    head = reader.read(lines) if end else None
    if head is None or len(body) > head.length:
        return None
    if head.length:
        if is_read or not head.is_json or head.length > MAX_BODY_BYTES:
            return None
        if len(body) < head.length:
            raise _Incomplete
    return _Request(raw, line, head, body)


class FastPathProtocol(SharingProtocol):
    """One connection. While a request of ours is being answered, what comes after it is kept unread."""

    heartbeats = heartbeat_batcher.HeartbeatBatcher()
    registrations = registration_batcher.RegistrationBatcher()
    _heads_made_for: Any = None
    _heads: ClassVar[dict[bytes, bytes]] = {}
    _bare_heads: ClassVar[dict[bytes, bytes]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = request_heads.Reader()
        self._is_parsing = False
        self._begun = b""
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: _Request | None = None
        self._unread: list[bytes] = []
        self._answered_at = 0.0
        self._is_local = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_local = self.client is not None and callers.is_local_peer(self.client[0])

    @classmethod
    async def close_all(cls) -> None:
        """Finish pending requests, and close what the connections share."""
        await cls.heartbeats.close()
        await cls.registrations.close()

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
            request = _read(data, self._reader) if self._is_between_requests() else None
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

    # --- Fast path or ordinary way ----------------------------------------------------------------

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
        """Answer now or as soon as Redis does; False if the ordinary way must answer."""
        if request.head.token_digest is None and not self._is_local:
            return False
        try:
            if request.line.startswith(_LIST_ALL):
                self._answer_read(request)
            else:
                self._write_down(request)
        except PassToDjango:
            return False
        return True

    # --- Answering --------------------------------------------------------------------------------

    def _answer_read(self, request: _Request) -> None:
        line = request.line
        admission = requests.admit(request.head, "services:read")
        if line == _LIST_ALL:
            answer, allow, cell = rendered_lists.listing(), _ON_ALL, _LISTS
        elif line.startswith(_LOOK_UP):
            answer, allow, cell = (
                rendered_lists.service(_name_in(line, _LOOK_UP)),
                _ON_ONE,
                _LOOKUPS,
            )
            if answer is None and resolutions.RESOLVE in line:
                answer, allow, cell = (
                    resolutions.resolved(line[len(_LOOK_UP) :]),
                    _ON_ALL,
                    _RESOLUTIONS,
                )
        else:
            answer = None
        if answer is None:
            raise PassToDjango
        requests.count(admission)
        counters.cells[cell] += 1
        tag, content = answer
        if tag == request.head.known_tag:
            self._write(_NOT_MODIFIED, allow, b"", request, tag=tag)
        else:
            self._write(_OK, allow, content, request, tag=tag)

    def _write_down(self, request: _Request) -> None:
        """Ask Redis, or PostgreSQL for an unknown service; the answer comes later."""
        line, head, body = request.line, request.head, request.body
        if line == _BEAT_MANY:
            self._renew(requests.bulk_heartbeat(head, body), _BULK_BEATS, request)
        elif line == _REGISTER:
            work = requests.registration(head, body)
            if isinstance(work, PendingRenewal):
                self._renew(work, _REGISTRATIONS, request)
            else:
                self._authorise(work, request)
        elif line.startswith(_BEAT):
            self._renew(
                requests.heartbeat(_name_in(line, _BEAT, _BEAT_END), head, body), _BEATS, request
            )
        else:
            raise PassToDjango

    def _renew(self, renewal: PendingRenewal, cell: int, request: _Request) -> None:
        def told(beats: list[int] | errors.Unavailable) -> None:
            answer = beats if isinstance(beats, errors.Unavailable) else renewal.answer(beats)
            self._go_on(request, answer, cell)

        self._wait(request)
        self.heartbeats.beat(renewal.members, told)

    def _authorise(self, new_registration: NewRegistration, request: _Request) -> None:
        def told(registered: registration_batcher.Answer) -> None:
            answer = (
                requests.registered(registered)
                if isinstance(registered, Registered)
                else registered
            )
            self._go_on(request, answer, _REGISTRATIONS)

        self._wait(request)
        self.registrations.register(new_registration, told)

    def _wait(self, request: _Request) -> None:
        self._waiting = self.cycle = request  # type: ignore[assignment]

    def _go_on(
        self, request: _Request, answer: bytes | errors.Unavailable | None, cell: int
    ) -> None:
        """Answer what was waited for (None: Django must), then read on where more came meanwhile."""
        self._waiting = None
        request.response_complete = True
        if request.disconnected:
            return
        if answer is None:
            super().data_received(request.raw)
            self.cycle.keep_alive = request.keep_alive
        elif isinstance(answer, errors.Unavailable):
            counters.cells[cell + counters.UNAVAILABLE] += 1
            self._refuse(answer, request)
        else:
            counters.cells[cell] += 1
            self._write(_OK, _ON_CHANGES, answer, request)
        if self._unread:
            data, self._unread = b"".join(self._unread), []
            self.flow.resume_reading()
            self.data_received(data)

    def _refuse(self, reason: errors.Unavailable, request: _Request) -> None:
        path = request.line.partition(b" ")[2].decode("latin-1")
        request_id = api.choose_request_id(request.head.request_id)
        code, body = api.render(reason, path, request_id)
        status = b"%d %b" % (code, HTTPStatus(code).phrase.encode("ascii"))
        retry_after = b""
        if reason.retry_after_seconds is not None:
            retry_after = b"retry-after: %d\r\n" % reason.retry_after_seconds
        self._write(status, _ON_CHANGES, orjson.dumps(body), request, request_id, retry_after)

    def _write(
        self,
        status: bytes,
        allow: bytes,
        content: bytes,
        request: _Request,
        request_id: str | None = None,
        further: bytes = b"",
        *,
        tag: bytes = b"",
    ) -> None:
        identity = (request_id or api.choose_request_id(request.head.request_id)).encode("ascii")
        close = b"" if request.keep_alive else b"connection: close\r\n"
        more = further + close
        if tag:
            tag = b"etag: %b\r\n" % tag
        heads = self._heads_now() if status is not _NOT_MODIFIED else self._bare_heads_now()
        head = heads[allow] % (status, tag, len(content), identity, more)
        if len(content) < LARGE_BYTES:
            self.transport.write(head + content)
        else:
            self.transport.writelines((head, content))
        if close:
            self.transport.close()
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _heads_now(self) -> dict[bytes, bytes]:
        """Return ``_head`` with what the server puts on everything, which it makes anew each second."""
        headers = self.server_state.default_headers
        if FastPathProtocol._heads_made_for is not headers:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in headers).replace(b"%", b"%%")
            for each in (_ON_ONE, _ON_ALL, _ON_CHANGES):
                self._heads[each] = _head(has_body=True) % (lines, each)
                self._bare_heads[each] = _head(has_body=False) % (lines, each)
            FastPathProtocol._heads_made_for = headers
        return self._heads

    def _bare_heads_now(self) -> dict[bytes, bytes]:
        """Return the same for answers without a body."""
        self._heads_now()
        return self._bare_heads


def _name_in(line: bytes, start: bytes, end: bytes = b"") -> str:
    return line[len(start) : len(line) - len(end)].decode("latin-1")
