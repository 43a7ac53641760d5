"""Redis as all apps reach it: pooled connections with short timeouts, behind a breaker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django_redis import get_redis_connection
from redis import Redis
from redis import exceptions as redis_exceptions

from saga_project.shared import errors


class _Breaker:
    """Keeps requests fast while Redis is gone: three failures in a row open it for a while."""

    failures_to_open = 3
    open_seconds = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    @contextmanager
    def guard(self) -> Iterator[None]:
        if self.is_open:
            raise refusal()
        try:
            yield
        except redis_exceptions.ReadOnlyError as exc:
            raise refusal() from exc
        except redis_exceptions.ResponseError as exc:
            if "NOTREADY" in str(exc) or "LOADING" in str(exc):
                raise errors.RedisUnavailable("Redis lost its data and is being refilled.") from exc
            raise
        except (redis_exceptions.RedisError, OSError) as exc:
            self._failed()
            raise refusal() from exc
        else:
            self.close()

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self.failures_to_open:
                self._open_until = time.monotonic() + self.open_seconds

    def close(self) -> None:
        if self._failures or self._open_until:
            with self._lock:
                self._failures, self._open_until = 0, 0.0


breaker = _Breaker()


def refusal() -> errors.RedisUnavailable:
    return errors.RedisUnavailable("Redis is not available. Try again in a moment.")


def connection() -> Redis:
    """Return django-redis' client: pooled, with short timeouts."""
    client: Redis = get_redis_connection("default")
    return client


_scripts: dict[str, Any] = {}


def run(script: str, *, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Run a Lua script, which Redis keeps after the first time; raises RedisUnavailable."""
    with breaker.guard():
        return _registered(script)(keys=keys, args=arguments, client=connection())


def _registered(script: str) -> Any:
    known = _scripts.get(script)
    if known is None:
        known = _scripts[script] = connection().register_script(script)
    return known
