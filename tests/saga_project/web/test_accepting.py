"""Connections that arrive at once are shared among the processes."""

from __future__ import annotations

import functools
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from saga_project import asgi
from saga_project.local import listening
from saga_project.web import accepting


def test_leaves_some_of_many_connections_at_once_to_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    config = Config(asgi.application, log_config=None)
    turns = iter([1.0, 2.0, 2.0, 2.0, 3.0])  # the loop's clock stands still within a turn

    for _ in range(5):
        loop: Any = SimpleNamespace(time=functools.partial(next, turns))
        accepting.SharingProtocol(
            config=config, server_state=ServerState(), app_state={}, _loop=loop
        )

    assert len(naps) == 2


def test_what_is_accepted_sends_at_once() -> None:
    with (
        listening.listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
