"""A TCP proxy with faults: latency, black holes, resets. Runs in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

CHUNK = 65536


class FaultProxy:
    """Forwards a free local port to a server, and fails on command; every fault can be undone."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[None]] = set()
        self._latency_seconds = 0.0
        self._is_refusing = False
        self.port = 0

    # --- Faults -----------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Delay every chunk, in both directions, for that long."""
        self._latency_seconds = seconds

    def freeze(self) -> None:
        """Accept and read nothing, answer nothing: a black hole."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def reset(self) -> None:
        """Break all connections at once; new ones are served."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)

    def refuse(self) -> None:
        """Break all connections, and every new one: the server is gone."""
        self._is_refusing = True
        self.reset()

    def serve(self) -> None:
        """Be a good proxy again."""
        self._is_refusing = False
        self._latency_seconds = 0.0
        self.thaw()

    # --- Forwarding -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultProxy]:
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(server), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward in a task of ours: asyncio reports a cancelled one of its own as an error."""
        if self._is_refusing:
            _abort(writer)
            return
        task = self._loop.create_task(self._forward(reader, writer))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            ends.append(far_writer)
            self._writers.add(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:  # the server itself is gone
            _abort(writer)
        finally:
            for end in ends:
                self._writers.discard(end)
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self._latency_seconds:
                    await asyncio.sleep(self._latency_seconds)
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def _reset(self) -> None:
        for writer in self._writers:
            _abort(writer)

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        self._flows.set()
        await self._reset()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a host that lost the connection answers."""
    own: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
