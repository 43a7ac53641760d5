"""The client for asyncio: the same calls, in threads of the running loop's executor.

One client, not two: retries, forks, caches and tokens behave alike, and a lookup from the cache needs no
thread at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any, Callable, TypeVar

from saga_client import client, registration
from saga_client.models import Instance, Job

Result = TypeVar("Result")


class AsyncSaga:
    """``Saga`` for asyncio; arguments, answers and errors are those of ``Saga``."""

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self.saga = client.Saga(url, **options)

    async def call(self, method: str, path: str, **options: Any) -> Any:
        return await _in_thread(self.saga.call, method, path, **options)

    async def health(self) -> dict[str, Any]:
        return await _in_thread(self.saga.health)

    async def services(self, **filters: Any) -> list[dict[str, Any]]:
        return await _in_thread(self.saga.services, **filters)

    async def service(self, name: str) -> dict[str, Any]:
        return await _in_thread(self.saga.service, name)

    async def instances(self, name: str) -> list[Instance]:
        return await _in_thread(self.saga.instances, name)

    async def resolve(self, name: str, **criteria: Any) -> Instance:
        return await _in_thread(self.saga.resolve, name, **criteria)

    async def discover(
        self, name: str, version: str | None = None, zone: str | None = None
    ) -> Instance:
        """Return an instance out of memory; the first call for a name asks Saga in a thread."""
        if self.saga.is_known(name):
            return self.saga.discover(name, version, zone)
        return await _in_thread(self.saga.discover, name, version, zone)

    async def register(self, name: str, url: str, **fields: Any) -> dict[str, Any]:
        return await _in_thread(self.saga.register, name, url, **fields)

    async def heartbeat(self, name: str, **fields: Any) -> dict[str, Any]:
        return await _in_thread(self.saga.heartbeat, name, **fields)

    async def deregister(self, name: str, *, instance_id: str | None = None) -> dict[str, Any]:
        return await _in_thread(self.saga.deregister, name, instance_id=instance_id)

    @contextlib.asynccontextmanager
    async def registered(
        self, name: str, url: str, **fields: Any
    ) -> AsyncIterator[registration.Registration]:
        """Stay registered for an ``async with`` block."""
        registered = self.saga.registered(name, url, **fields)
        registered.handle_sigterm()  # only the main thread may
        await _in_thread(registered.start)
        try:
            yield registered
        finally:
            await _in_thread(registered.stop)

    async def deploy(self, name: str, version: str, **fields: Any) -> dict[str, Any]:
        return await _in_thread(self.saga.deploy, name, version, **fields)

    async def roll_back(
        self, name: str, version: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        return await _in_thread(self.saga.roll_back, name, version, **fields)

    async def job(self, job_id: str, *, wait: int = 0) -> Job:
        return await _in_thread(self.saga.job, job_id, wait=wait)

    async def wait_for_job(self, job_id: str) -> Job:
        return await _in_thread(self.saga.wait_for_job, job_id)

    async def job_verb(self, job_id: str, verb: str, **fields: Any) -> Job:
        return await _in_thread(self.saga.job_verb, job_id, verb, **fields)

    async def close(self) -> None:
        self.saga.close()


async def _in_thread(function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(
        None, functools.partial(function, *arguments, **options)
    )
