"""The socket on which several web processes accept connections."""

from __future__ import annotations

import socket

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
