"""An HTTP proxy as a process of its own, which reports what it was asked for.

``python tests/proxy_servers.py '{"routes": {"192.0.2.1:443": 40001}, "login": "user:password"}'`` prints its
port, then each request's head as a line of JSON. A target that has no route is refused with 502.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO


@dataclass
class Proxy:
    port: int
    _output: IO[str]

    def next_request(self) -> str:
        """Wait for the head of the next request that the proxy received."""
        head: str = json.loads(self._output.readline())
        return head


@contextlib.contextmanager
def running(routes: Mapping[str, int], *, login: str = "") -> Iterator[Proxy]:
    """Start a proxy that leads each ``address:port`` to a port of this machine."""
    options = json.dumps({"routes": dict(routes), "login": login})
    with subprocess.Popen(
        [sys.executable, "-u", __file__, options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield Proxy(int(process.stdout.readline()), process.stdout)
        finally:
            process.kill()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(options: dict[str, object]) -> None:
    routes, login = options["routes"], str(options["login"])
    assert isinstance(routes, dict)
    wanted = "Basic " + base64.b64encode(login.encode()).decode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            print(json.dumps(head))
            method, target, _ = head.split("\r\n")[0].split(" ")
            place = target if method == "CONNECT" else re.sub(r"http://([^/]*).*", r"\1", target)
            if login and f"\r\nProxy-Authorization: {wanted}\r\n" not in head:
                writer.write(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
            elif place not in routes:
                writer.write(b"HTTP/1.1 502 No route\r\nContent-Length: 0\r\n\r\n")
            else:
                there, back = await asyncio.open_connection("127.0.0.1", routes[place])
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    path = re.sub(r"http://[^/]*", "", target)
                    back.write(head.replace(target, path, 1).encode())
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
