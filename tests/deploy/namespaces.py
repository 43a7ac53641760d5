"""An empty host: a user namespace, and a network namespace with one port of this machine as its only way out.

The namespaces need no rights. Inside, 127.0.0.1:8030 leads to that port through a Unix socket, since the file
system is shared; there is no other network.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

PORT = 8030
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def why_not() -> str:
    """Return why this machine makes no such host, empty where it does."""
    if shutil.which("unshare") is None:
        return "unshare is not installed."
    done = subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def run(
    script: str, *, way_out: Path, folder: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in such a host, with nothing in its environment but the variables."""
    return subprocess.run(
        [*_UNSHARE, sys.executable, __file__, str(way_out), script],
        cwd=folder,
        env=dict(variables),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextlib.contextmanager
def leading_out(socket_file: Path, port: int) -> Iterator[None]:
    """Have the socket lead to a port of this machine."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(socket_file))
        listener.listen(64)
        _serve(listener, lambda: socket.create_connection(("127.0.0.1", port)))
        yield


def _serve(listener: socket.socket, connect: object) -> None:
    threading.Thread(target=_accept, args=(listener, connect), daemon=True).start()


def _accept(listener: socket.socket, connect: object) -> None:
    assert callable(connect)
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        try:
            far = connect()
        except OSError:
            near.close()
            continue
        threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Forward in both directions until both have ended."""
    with near, far:
        back = threading.Thread(target=_forward, args=(far, near), daemon=True)
        back.start()
        _forward(near, far)
        back.join()


def _forward(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def set_loopback(*, is_up: bool) -> None:
    """Switch the loopback interface of this namespace on, or off: everything that is on its way waits."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as handle:
        request = struct.pack("16sh14x", b"lo", _IFF_UP if is_up else 0)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, request)


def _connected(socket_file: str) -> socket.socket:
    far = socket.socket(socket.AF_UNIX)
    far.connect(socket_file)
    return far


def main() -> None:
    """Inside: switch the network on, lead 127.0.0.1:8030 out, run the script."""
    socket_file, script = sys.argv[1:]
    set_loopback(is_up=True)
    listener = socket.create_server(("127.0.0.1", PORT))
    _serve(listener, lambda: _connected(socket_file))
    sys.exit(subprocess.run(["bash", "-c", script], check=False).returncode)


if __name__ == "__main__":
    main()
