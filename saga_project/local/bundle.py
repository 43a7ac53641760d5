"""What every host of one Saga shares, as a file for ``SAGA_CONFIG``: addresses, secrets, settings.

What belongs to one host (its data folder, node name, address) is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

#: Settings of one host; a variable of systemd or of a shell is none of Saga's.
OF_ONE_HOST = frozenset(
    {
        "SAGA_CONFIG",
        "SAGA_DATA_DIR",
        "SAGA_NODE_NAME",
        "SAGA_WEB_PROCESSES",
        "SAGA_WORKER_METRICS_PORT",
    }
)
FAMILIES = ("SAGA_", "REGISTRY_")
NAMES = frozenset({"HEARTBEAT_INTERVAL", "REGISTRATION_TTL", "SERVICE_NAME"})


def shared(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the shared settings by name: those that are set here, addresses and secrets in any case."""
    chosen = {
        name: text
        for name, text in environ.items()
        if (name.startswith(FAMILIES) or name in NAMES) and name not in OF_ONE_HOST
    }
    return chosen | {
        "DATABASE_URL": environ.get("DATABASE_URL", ""),
        "REDIS_URL": environ.get("REDIS_URL", ""),
        "SAGA_AUTH": settings.SAGA_AUTH,
        "SAGA_SECRET_KEY": settings.SECRET_KEY,
        "SAGA_ENCRYPTION_KEYS": ",".join(settings.SAGA_ENCRYPTION_KEYS),
    }


def write(path: Path) -> list[str]:
    """Write the file, readable by its owner only; return the names in it. Raises OSError."""
    values = shared()
    # A basic string of TOML is written as one of JSON.
    lines = [f"{name} = {json.dumps(values[name])}\n" for name in sorted(values)]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.writelines(lines)
    return sorted(values)
