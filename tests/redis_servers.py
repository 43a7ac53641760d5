"""Valkey servers that belong to one test: to be paused, stopped, set to another time, or replaced."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from saga_project.local.embedded import processes, valkey
from tests import waiting

BINARY = valkey._binary()


@dataclass
class RedisServer:
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **options)  # type: ignore[arg-type]

    def is_answering(self) -> bool:
        assert self.process.poll() is None, "the server ended"
        with contextlib.suppress(redis.RedisError), self.client(socket_timeout=1) as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def running(
    *options: str, environment: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[RedisServer]:
    """Run a Valkey of the test's own until the block ends."""
    number = port or processes.any_free_port()
    argv = [str(BINARY), "--port", str(number), "--bind", "127.0.0.1", "--save", "", *options]
    with serving(argv, port=number, environment=environment) as server:
        yield server


@contextlib.contextmanager
def serving(
    argv: Sequence[str], *, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[RedisServer]:
    """Run a program that speaks Redis' protocol on that port until the block ends."""
    with tempfile.TemporaryDirectory(prefix="saga-valkey-") as folder:
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                argv, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )
        server = RedisServer(port, process)
        try:
            waiting.until(server.is_answering, seconds=30)
            yield server
        finally:
            process.kill()
            process.wait()
