"""Keep the services of this host registered, also software that cannot do so itself.

``agent.toml`` names them. Each has a token of its own account: the node's token registers nothing, so that an
agent that was taken over speaks for the services that its host lists only. The agent deregisters none when it
ends: a service outlives a restart of its agent, and expires where the agent does not come back.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import saga_client
from saga_client import running

_TEXTS = ("name", "url", "token_file", "check", "instance_id", "version", "zone")
_NUMBERS = ("check_seconds", "ttl")
_REQUIRED = ("name", "url", "token_file")


@dataclass(frozen=True, kw_only=True)
class HostService:
    """``check`` is what `saga run --check` takes; ``ttl`` and ``check_seconds`` are seconds."""

    name: str
    url: str
    token_file: str
    check: str | None = None
    check_seconds: float = 5.0
    instance_id: str | None = None
    version: str | None = None
    zone: str | None = None
    ttl: int | None = None

    def read_token(self) -> str:
        """Return the token of the service's account; raises OSError and ValueError."""
        return Path(self.token_file).read_text(encoding="ascii").strip()


def read(tables: Any) -> tuple[HostService, ...]:
    """Return the services of ``[[services]]`` in ``agent.toml``; raises ValueError."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("services are tables: begin each with [[services]].")
    return tuple(map(_read_one, tables))


def _read_one(table: dict[str, Any]) -> HostService:
    if unknown := sorted(set(table) - {*_TEXTS, *_NUMBERS}):
        raise ValueError(f"a service has no key {unknown[0]!r}.")
    if missing := [key for key in _REQUIRED if not table.get(key)]:
        raise ValueError(f"a service lacks {missing[0]!r}.")
    for key, value in table.items():
        if key in _TEXTS and not isinstance(value, str):
            raise ValueError(f"{key} of a service is a text.")
        if key in _NUMBERS and (type(value) not in (int, float) or value <= 0):
            raise ValueError(f"{key} of a service is a number of seconds.")
    service = HostService(**table)
    try:
        is_there = bool(service.read_token())
    except OSError as exc:
        raise ValueError(f"{service.token_file} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError:
        is_there = False
    if not is_there:
        raise ValueError(f"{service.token_file} holds no token.")
    return service


def keep(
    services: Sequence[HostService], *, server: str, tls: ssl.SSLContext | None = None
) -> list[running.Watcher]:
    """Register each service once its check passes, report its health, send its heartbeats, in threads."""
    watchers = [_watcher(service, server, tls) for service in services]
    for watcher in watchers:
        watcher.start()
    return watchers


def _watcher(service: HostService, server: str, tls: ssl.SSLContext | None) -> running.Watcher:
    saga = saga_client.Saga(server, token=service.read_token(), tls=tls)
    registration = saga.registered(
        service.name,
        service.url,
        instance_id=service.instance_id,
        version=service.version,
        zone=service.zone,
        ttl=service.ttl,
    )
    return running.Watcher(registration, check=service.check, check_seconds=service.check_seconds)
