"""A PyPI source against pypiserver, which answers by PEP 503 whatever it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from updates.releases import sources

SERVER = """\
import pathlib, sys
from wsgiref.simple_server import make_server
import pypiserver
app = pypiserver.app(roots=[pathlib.Path(sys.argv[1])], disable_fallback=True)
server = make_server("127.0.0.1", 0, app)
print(server.server_port, flush=True)
server.serve_forever()
"""
FILES = (
    "acme_payment-1.9.0.tar.gz",
    "acme_payment-1.10.0.tar.gz",
    "acme_payment-1.10.0-py3-none-any.whl",
    "acme_payment-1.11.0rc1.tar.gz",
    "zeta-9.0.0.tar.gz",
)


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """The address of a server of ``FILES``; it prints its port once it listens."""
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode())
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    with server:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


def test_packages_of_a_pypiserver_are_read(base_url: str) -> None:
    answer = sources.ASK["pypi"](sources.Query(location="Acme.Payment", base_url=base_url))

    candidate, newest, oldest = answer.found or ()
    assert (candidate.version, newest.version, oldest.version) == ("1.11.0rc1", "1.10.0", "1.9.0")
    assert newest.artifact_url == f"{base_url}/packages/acme_payment-1.10.0-py3-none-any.whl"
    assert newest.checksum.startswith("sha256:")
    assert answer.warning == ""
