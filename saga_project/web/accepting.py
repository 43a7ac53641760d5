"""How several web processes take connections from one socket."""

from __future__ import annotations

import time
from typing import Any

from saga_project.web.head_limits import LimitedProtocol


class SharingProtocol(LimitedProtocol):
    """The server's own HTTP protocol; of connections that come at once, another process may take the next.

    A server accepts all waiting connections in one turn of its loop while the clock stands still. As libuv
    did under UV_TCP_SINGLE_ACCEPT, the shortest possible sleep leaves some to the others.
    """

    _accepted_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.loop.time()
        if now == SharingProtocol._accepted_at:
            time.sleep(1e-9)
        SharingProtocol._accepted_at = now
