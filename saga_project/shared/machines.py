"""Which machine this process runs on: what a process id, or a node's name, is unique on."""

from __future__ import annotations

import functools
import socket
from pathlib import Path


@functools.cache
def name() -> str:
    """Return the host's name, this boot of it, and the container's own count of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    count = Path("/proc/self/ns/pid")
    parts = [
        socket.gethostname(),
        boot.read_text().strip()[:8] if boot.exists() else "",
        str(count.stat().st_ino) if count.exists() else "",
    ]
    return "-".join(parts)


def host_of(machine: str) -> str:
    return machine.rsplit("-", 2)[0]
