"""Proxies of others, as processes: tinyproxy and squid, where they are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saga_project.local.embedded import processes
from tests import waiting


@contextmanager
def running(name: str, configuration: str, folder: Path, **values: object) -> Iterator[int]:
    """Run a proxy and yield its port; the text of its configuration names ``port`` and ``folder``."""
    program, port = _program(name), processes.any_free_port()
    folder.chmod(0o777)  # squid as root becomes another user
    file = folder / "proxy.conf"
    file.write_text(configuration.format(port=port, folder=folder, **values))
    # Two squids of one name would share their memory, and one that is killed leaves it behind.
    options = {"tinyproxy": ["-d", "-c"], "squid": ["-N", "-n", f"saga{port}", "-f"]}
    with subprocess.Popen(
        [program, *options[name], str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            waiting.until(lambda: _listens(port, process))
            yield port
        finally:
            process.terminate()


def _program(name: str) -> str:
    """Return where an installed proxy is: those of Debian are in /usr/sbin."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed (apt: {name})")
    return found


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the proxy did not start"
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True
