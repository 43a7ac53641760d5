"""An npm source against verdaccio, a registry that answers as npm's own does."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from saga_project.local.embedded import processes
from tests import factories
from updates import operations
from updates.models import Release

VERDACCIO = shutil.which("verdaccio") or ""
pytestmark = [
    pytest.mark.skipif(
        not VERDACCIO, reason="verdaccio is not installed (npm install --global verdaccio)"
    ),
    pytest.mark.django_db,
    pytest.mark.usefixtures("redis"),
]
PACKAGE = "@acme%2fpayment"
CONFIGURATION = """\
storage: ./storage
packages: {"**": {access: $all, publish: $all, unpublish: $all}}
auth: {htpasswd: {file: ./htpasswd}}
web: {enable: false}
log: {type: stdout, format: json, level: warn}
"""


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry, which prints its address once it listens."""
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    address = f"127.0.0.1:{processes.any_free_port()}"
    server = subprocess.Popen(
        [VERDACCIO, "--config", str(tmp_path / "config.yaml"), "--listen", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(tmp_path)},
        text=True,
    )
    assert server.stdout is not None
    with server:
        assert any("http address" in line for line in server.stdout), "verdaccio did not start"
        yield f"http://{address}"
        server.kill()


def _publish(base_url: str, version: str, *, tag: str) -> bytes:
    """Publish a version under a dist-tag, as ``npm publish`` does; return its tarball."""
    tarball = f"tarball of {version}".encode()
    filename = f"payment-{version}.tgz"
    integrity = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"integrity": f"sha512-{integrity}", "tarball": f"{base_url}/{PACKAGE}/-/{filename}"}
    manifest = {"name": "@acme/payment", "version": version, "dist": dist}
    attachment = {
        "content_type": "application/octet-stream",
        "data": base64.b64encode(tarball).decode(),
        "length": len(tarball),
    }
    document: dict[str, Any] = {
        "_id": "@acme/payment",
        "name": "@acme/payment",
        "dist-tags": {tag: version},
        "versions": {version: manifest},
        "_attachments": {filename: attachment},
    }
    requests.put(f"{base_url}/{PACKAGE}", json=document, timeout=30).raise_for_status()
    return tarball


def test_dist_tag_of_a_real_registry_rules_and_moves(base_url: str) -> None:
    _publish(base_url, "6.3.2", tag="latest")
    tarball = _publish(base_url, "6.3.6", tag="next")
    service = factories.ServiceFactory.create(name="payment-service", version="6.3.2")
    factories.SourceFactory.create(
        service=service, kind="npm", location="@acme/payment", base_url=base_url
    )

    before = operations.check(service).latest_version
    requests.put(
        f"{base_url}/-/package/{PACKAGE}/dist-tags/latest", json="6.3.6", timeout=30
    ).raise_for_status()
    after = operations.check(service).latest_version

    assert (before, after) == ("6.3.2", "6.3.6")
    release = Release.objects.get(version="6.3.6")
    assert release.checksum == f"sha512:{hashlib.sha512(tarball).hexdigest()}"
    assert requests.get(release.artifact_url, timeout=30).content == tarball
