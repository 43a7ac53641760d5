"""How several web processes take connections from one socket."""

from __future__ import annotations

import socket
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens for all of them; raises OSError.

    What it takes sends at once (tcp(7), TCP_NODELAY). A server that is given a socket does not see to that,
    and the rest of an answer would wait for its head to be acknowledged, 40 ms later.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class SharingProtocol(HttpToolsProtocol):
    """The server's own HTTP protocol; of connections that come at once, another process may take the next.

    A server takes all that wait in one turn of its loop, whose clock stands still meanwhile; as libuv once
    did under UV_TCP_SINGLE_ACCEPT, the least sleep that there is lets the others have some.
    """

    _accepted_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.loop.time()
        if now == SharingProtocol._accepted_at:
            time.sleep(1e-9)
        SharingProtocol._accepted_at = now
