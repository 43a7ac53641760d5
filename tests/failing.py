"""Web processes that reach Redis and PostgreSQL through proxies, which fail on a test's command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from registry import presence
from saga_project.shared import counters
from tests import faults, waiting, webserver
from tests.webserver import WebServer

HEALTH = "/api/v1/health"
SERVICE = {"service_name": "pay", "service_url": "http://localhost:8001"}


@dataclass
class Stack:
    web: WebServer
    redis: faults.FaultProxy
    database: faults.FaultProxy

    def health(self) -> dict[str, Any]:
        document: dict[str, Any] = self.web.get(HEALTH).json()
        return document

    def is_healthy(self) -> bool:
        """Whether every process says so: which of them answers is the kernel's choice."""
        return all(self._is_connected() for _ in range(10))

    def _is_connected(self) -> bool:
        """Whether the process reaches its servers; no sweep runs beside it."""
        document = self.health()
        return bool(document["redis"] == document["database"] == "connected")

    def follows(self, filled_us: int) -> bool:
        """Whether every process' cache has begun again since Redis was filled at that time."""
        refreshed = [cells[counters.REFRESHED_US] for cells in self.web.cells()]
        return all(moment_us > filled_us for moment_us in refreshed)

    def register(self) -> None:
        """Register "pay"; the first request after an outage may get 503 on a broken connection."""

        def is_registered() -> bool:
            return self.web.post("/api/v1/services/register", json=SERVICE).status_code == 200

        waiting.until(is_registered, seconds=10)

    @contextlib.contextmanager
    def whole(self) -> Iterator[Stack]:
        """Lend it to a test that has just emptied Redis; afterwards it is whole again."""
        filled_us = presence.tick().filled_us
        waiting.until(lambda: self.follows(filled_us), seconds=30)
        waiting.until(self.is_healthy, seconds=30)
        yield self
        self.redis.serve()
        self.database.serve()
        waiting.until(self.is_healthy, seconds=30)


@contextlib.contextmanager
def running() -> Iterator[Stack]:
    known, url = connection.settings_dict, urlsplit(settings.REDIS_URL)
    with (
        faults.FaultProxy(url.hostname or "", url.port or 6379).running() as redis,
        faults.FaultProxy(known["HOST"], int(known["PORT"] or 5432)).running() as database,
        webserver.serving(
            processes=2,
            REDIS_URL=url._replace(netloc=f":{url.password or ''}@127.0.0.1:{redis.port}").geturl(),
            DATABASE_URL=webserver.database_url(host="127.0.0.1", port=database.port),
        ) as web,
    ):
        yield Stack(web, redis, database)
