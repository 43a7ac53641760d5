"""The fast path: lookups, the list, heartbeats and renewals, answered before Django's handler.

It is the server's own HTTP protocol with one question put in front: are these bytes one whole request that
``registry.fast.requests`` or ``registry.fast.rendered_lists`` is sure of, with nothing unusual in it? Then
its answer is written at once, from within the event loop, without a parser, a task, a scope or a thread.
Everything else goes the server's ordinary way, to ``asgi`` and Django, where the views are the definition.
``SAGA_FAST_PATH=false`` starts the server without it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

# isort: split
import orjson

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
from saga_project.web import answer_heads, whole_requests
from saga_project.web.accepting import SharingProtocol

BODY_SECONDS = 0.5
LARGE_BYTES = 16 * 1024  # Below it one copy costs less than a second buffer.
_OK = b"200 OK"
_LOOKUPS, _LISTS, _HEARTBEATS, _BULK_HEARTBEATS, _REGISTRATIONS, _RESOLUTIONS = (
    counters.FAST_PATH[name]
    for name in ("lookup", "list", "heartbeat", "bulk_heartbeat", "registration", "resolve")
)


class FastPathProtocol(SharingProtocol):
    """One connection. While a request of ours is being answered, what comes after it is kept unread."""

    heartbeats = heartbeat_batcher.HeartbeatBatcher()
    registrations = registration_batcher.RegistrationBatcher()
    _heads = answer_heads.Heads()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = request_heads.Reader()
        self._is_parsing = False
        self._begun = b""
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: whole_requests.WholeRequest | None = None
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
            request = (
                whole_requests.read(data, self._reader) if self._is_between_requests() else None
            )
        except whole_requests.Incomplete:
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
        return (
            not self._is_stopping
            and is_idle
            and not self._is_parsing
            and not self.flow.write_paused
        )

    def _take_begun(self) -> bytes:
        data, self._begun = self._begun, b""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        return data

    def _give_up_waiting(self) -> None:
        super().data_received(self._take_begun())

    def _answer(self, request: whole_requests.WholeRequest) -> bool:
        """Answer now or as soon as Redis does; False if the ordinary way must answer."""
        if request.head.token_digest is None and not self._is_local:
            return False
        try:
            if request.line.startswith(whole_requests.LIST_ALL):
                self._answer_read(request)
            else:
                self._answer_change(request)
        except PassToDjango:
            return False
        return True

    # --- Answering --------------------------------------------------------------------------------

    def _answer_read(self, request: whole_requests.WholeRequest) -> None:
        line = request.line
        admission = requests.admit(request.head, "services:read")
        if line == whole_requests.LIST_ALL:
            answer, allow, cell = rendered_lists.listing(), answer_heads.ON_ALL, _LISTS
        elif line.startswith(whole_requests.LOOK_UP):
            answer, allow, cell = (
                rendered_lists.service(_name_in(line, whole_requests.LOOK_UP)),
                answer_heads.ON_ONE,
                _LOOKUPS,
            )
            if answer is None and resolutions.RESOLVE in line:
                answer, allow, cell = (
                    resolutions.resolved(line[len(whole_requests.LOOK_UP) :]),
                    answer_heads.ON_ALL,
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
            self._write(answer_heads.NOT_MODIFIED, allow, b"", request, tag=tag)
        else:
            self._write(_OK, allow, content, request, tag=tag)

    def _answer_change(self, request: whole_requests.WholeRequest) -> None:
        """Ask Redis, or PostgreSQL for an unknown service; the answer comes later."""
        line, head, body = request.line, request.head, request.body
        if line == whole_requests.HEARTBEAT_MANY:
            self._renew(requests.bulk_heartbeat(head, body), _BULK_HEARTBEATS, request)
        elif line == whole_requests.REGISTER:
            work = requests.registration(head, body)
            if isinstance(work, PendingRenewal):
                self._renew(work, _REGISTRATIONS, request)
            else:
                self._authorise(work, request)
        elif line.startswith(whole_requests.HEARTBEAT):
            self._renew(
                requests.heartbeat(
                    _name_in(line, whole_requests.HEARTBEAT, whole_requests.HEARTBEAT_END),
                    head,
                    body,
                ),
                _HEARTBEATS,
                request,
            )
        else:
            raise PassToDjango

    def _renew(
        self, renewal: PendingRenewal, cell: int, request: whole_requests.WholeRequest
    ) -> None:
        def answer_renewal(times: list[int] | errors.Unavailable) -> None:
            answer = times if isinstance(times, errors.Unavailable) else renewal.answer(times)
            self._go_on(request, answer, cell)

        self._wait(request)
        self.heartbeats.renew(renewal.members, answer_renewal)

    def _authorise(
        self, new_registration: NewRegistration, request: whole_requests.WholeRequest
    ) -> None:
        def answer_registration(registered: registration_batcher.Answer) -> None:
            answer = (
                requests.registered(registered)
                if isinstance(registered, Registered)
                else registered
            )
            self._go_on(request, answer, _REGISTRATIONS)

        self._wait(request)
        self.registrations.register(new_registration, answer_registration)

    def _wait(self, request: whole_requests.WholeRequest) -> None:
        self._waiting = self.cycle = request  # type: ignore[assignment]

    def _go_on(
        self,
        request: whole_requests.WholeRequest,
        answer: bytes | errors.Unavailable | None,
        cell: int,
    ) -> None:
        """Answer what was waited for (None: Django must), then read on where more came meanwhile."""
        self._waiting = None
        request.response_complete = True
        if request.disconnected:
            return
        if answer is None:
            super().data_received(request.raw)
            self.cycle.keep_alive = self.cycle.keep_alive and request.keep_alive
        elif isinstance(answer, errors.Unavailable):
            counters.cells[cell + counters.UNAVAILABLE] += 1
            self._refuse(answer, request)
        else:
            counters.cells[cell] += 1
            self._write(_OK, answer_heads.ON_CHANGES, answer, request)
        if self._unread:
            data, self._unread = b"".join(self._unread), []
            self.flow.resume_reading()
            self.data_received(data)

    def _refuse(self, reason: errors.Unavailable, request: whole_requests.WholeRequest) -> None:
        path = request.line.partition(b" ")[2].decode("latin-1")
        request_id = api.choose_request_id(request.head.request_id)
        code, body = api.render(reason, path, request_id)
        status = b"%d %b" % (code, HTTPStatus(code).phrase.encode("ascii"))
        retry_after = b""
        if reason.retry_after_seconds is not None:
            retry_after = b"retry-after: %d\r\n" % reason.retry_after_seconds
        self._write(
            status, answer_heads.ON_CHANGES, orjson.dumps(body), request, request_id, retry_after
        )

    def _write(
        self,
        status: bytes,
        allow: bytes,
        content: bytes,
        request: whole_requests.WholeRequest,
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
        heads = self._heads.of(
            self.server_state.default_headers, has_body=status is not answer_heads.NOT_MODIFIED
        )
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


def _name_in(line: bytes, start: bytes, end: bytes = b"") -> str:
    return line[len(start) : len(line) - len(end)].decode("latin-1")
