"""The replica of a web process, kept in the process of the tests: its event loop runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from registry import directory
from registry.directory import projection
from tests import waiting


@contextmanager
def following() -> Iterator[None]:
    """Follow presence for as long as the block lasts; begins when memory is whole."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(directory.follow(projection.refill))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, name="replica")
    thread.start()
    try:
        waiting.until(directory.is_whole)
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
        # The follower does not wait for its last call to Redis, which may close the circuit breaker.
        waiting.until(_no_call_runs)


def _no_call_runs() -> bool:
    return not any(thread.name.startswith("directory") for thread in threading.enumerate())
