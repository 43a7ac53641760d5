"""Programs that use the library, each run in a process of its own: ``python -c`` with these texts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from tests.clients.conftest import SOURCE

#: Arguments: name, url. Stays registered until SIGTERM.
STAYING = """
import signal, sys
import saga_client
with saga_client.Saga().registered(sys.argv[1], sys.argv[2], version="1.4.0", ttl=5):
    print("running", flush=True)
    signal.pause()
"""

#: Arguments: name, url. Registers, then forks two workers as gunicorn does with --preload; prints all ids.
FORKING = """
import os, signal, sys
import saga_client
registration = saga_client.Saga().registered(sys.argv[1], sys.argv[2], ttl=5)
registration.start()
children = []
ready, signal_ready = os.pipe()
for _ in range(2):
    child = os.fork()
    if not child:
        os.write(signal_ready, b".")
        signal.pause()
    children.append(child)
    os.read(ready, 1)
print(os.getpid(), *children, flush=True)
signal.pause()
"""


def start(
    program: str, *arguments: str, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[str], str]:
    """Start a program and return it with the first line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, process.stdout.readline().strip()
