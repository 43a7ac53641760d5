"""How several web processes take connections from one socket, and how one of them leaves it to the others."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from saga_project.web.head_limits import LimitedProtocol

#: What a client sent before it saw the end of a connection arrives within this time.
DRAIN_SECONDS = 2.0


class SharingProtocol(LimitedProtocol):
    """The server's own HTTP protocol; of connections that come at once, another process may take the next.

    A server accepts all waiting connections in one turn of its loop. As libuv
    did under UV_TCP_SINGLE_ACCEPT, the shortest possible sleep leaves some to the others.
    """

    _accepted_at = 0.0
    _is_stopping = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.loop.time()
        if now == SharingProtocol._accepted_at:
            time.sleep(1e-9)
        SharingProtocol._accepted_at = now

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if SharingProtocol._is_stopping:
            self._close_when_silent()

    def shutdown(self) -> None:
        """Answer one more request with ``Connection: close``; close the connection where none comes.

        The server would close each silent connection at once, together with a request that is on its way.
        """
        SharingProtocol._is_stopping = True
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self._close_when_silent()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if SharingProtocol._is_stopping and self._is_answering():
            self.cycle.keep_alive = False

    def _close_when_silent(self) -> None:
        self._unset_keepalive_if_required()
        self.loop.call_later(DRAIN_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self._is_answering():
            self._close_when_silent()
        else:
            self.transport.close()
