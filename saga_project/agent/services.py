"""Keep the services of this host registered, also software that cannot do so itself.

``agent.toml`` names them. The node's token registers those that a target on the node names, or staff; any
other needs a token of its own account. The agent deregisters none when it ends: a service outlives a restart
of its agent, and expires where the agent does not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saga_client import registration, running, transport
from saga_client.registration import Registration
from saga_client.transport import Transport

_TEXTS = ("name", "url", "token_file", "check", "instance_id", "version", "zone")
_NUMBERS = ("check_seconds", "ttl")
_REQUIRED = ("name", "url")
#: Where the routes of the node's own services begin.
PREFIX = f"{transport.PREFIX}/agent"

OwnCalls = Callable[[str], Transport]


@dataclass(frozen=True, kw_only=True)
class HostService:
    """``check`` is what `saga run --check` takes; ``ttl`` and ``check_seconds`` are seconds.

    Without ``token_file`` the node's token registers it.
    """

    name: str
    url: str
    token_file: str | None = None
    check: str | None = None
    check_seconds: float = 5.0
    instance_id: str | None = None
    version: str | None = None
    zone: str | None = None
    ttl: int | None = None

    def read_token(self) -> str | None:
        """Return the token of the service's account, None for the node's; raises OSError and ValueError."""
        return Path(self.token_file).read_text("ascii").strip() if self.token_file else None

    def instance_of(self, node: str) -> str:
        """Return the instance as the node's token may name it: the node and the port."""
        port = registration.default_instance_id(self.url).rpartition(":")[2]
        return self.instance_id or f"{node}:{port}"


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
        is_there = service.read_token() != ""
    except OSError as exc:
        raise ValueError(f"{service.token_file} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError:
        is_there = False
    if not is_there:
        raise ValueError(f"{service.token_file} holds no token.")
    return service


def keep(
    services: Sequence[HostService], *, node: str, calls: Transport, own_calls: OwnCalls
) -> list[running.Watcher]:
    """Register each service once its check passes, report its health, send its heartbeats, in threads.

    ``calls`` has the node's token and PREFIX; ``own_calls`` makes one with a service's own token.
    """
    watchers = [_watcher(service, node, calls, own_calls) for service in services]
    for watcher in watchers:
        watcher.start()
    return watchers


def _watcher(
    service: HostService, node: str, calls: Transport, own_calls: OwnCalls
) -> running.Watcher:
    token = service.read_token()
    kept = Registration(
        calls if token is None else own_calls(token),
        service.name,
        service.url,
        instance_id=service.instance_of(node) if token is None else service.instance_id,
        version=service.version,
        zone=service.zone,
        ttl=service.ttl,
    )
    return running.Watcher(kept, check=service.check, check_seconds=service.check_seconds)
