"""Mutual TLS by nginx, with the block of docs/nodes.md in that of docs/running.md."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from saga_project.local.embedded import processes
from tests import webserver
from tests.saga_project import test_proxy
from tests.updates.rollouts.agent_hosts import STAFF
from updates.models import Node
from updates.operations import nodes

DOCUMENT = webserver.ROOT / "docs" / "nodes.md"

pytestmark = [pytest.mark.django_db(transaction=True), test_proxy.needs_nginx]


@dataclass
class Front:
    """nginx before Saga, and a folder with certificates."""

    url: str
    folder: Path

    def call(self, path: str, *, certificate: str | None = None) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # a bundle that the environment names would win
            session.verify = str(self.folder / "saga.pem")
            if certificate:
                session.cert = str(self.folder / certificate)
            return session.post(f"{self.url}{path}", json={}, timeout=60)

    def join(self, *options: str) -> subprocess.CompletedProcess[str]:
        token = nodes.make_join_token(
            "web1", hours=1, is_approving=True, by=STAFF, now=timezone.now()
        )
        words = ["join", "--server", self.url, "--folder", str(self.folder / "agent"), *options]
        return subprocess.run(
            [sys.executable, "-m", "saga_project.agent", *words],
            env={
                "PYTHONPATH": ":".join(
                    [str(webserver.ROOT), str(webserver.ROOT / "clients" / "python" / "src")]
                ),
                "SAGA_JOIN_TOKEN": token,
                "SSL_CERT_FILE": str(self.folder / "saga.pem"),
            },
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )


def write_authority(folder: Path, name: str, host: str) -> None:
    """Write ``name``.pem, an authority of hosts, and ``host``.pem: a certificate by it, with its key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    for number, subject_name in enumerate((name, host)):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject_name)])
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        key = keys[number].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        text = built.public_bytes(serialization.Encoding.PEM) + (key if number else b"")
        (folder / f"{subject_name}.pem").write_bytes(text)


@pytest.fixture
def front(tmp_path: Path, redis: object) -> Iterator[Front]:
    port = processes.any_free_port()
    test_proxy.make_certificate(tmp_path)
    write_authority(tmp_path, "hosts-ca", "web1")
    write_authority(tmp_path, "other-ca", "stranger")
    url = f"https://localhost:{port}"
    options: dict[str, Any] = {"SAGA_AUTH": "required", "SAGA_PUBLIC_URL": url}
    with webserver.serving(SAGA_TRUSTED_PROXIES="127.0.0.1", **options) as server:
        replaced = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "saga.example.com": "localhost",
            "/etc/ssl/saga.pem": f"{tmp_path}/saga.pem",
            "/etc/ssl/saga.key": f"{tmp_path}/saga.key",
            "127.0.0.1:8030": f"127.0.0.1:{server.port}",
        }
        block = test_proxy.documented_block("nginx", replaced)
        of_agents = test_proxy.documented_block(
            "nginx",
            {
                "/etc/ssl/hosts-ca.pem": f"{tmp_path}/hosts-ca.pem",
                "127.0.0.1:8030": f"127.0.0.1:{server.port}",
            },
            document=DOCUMENT,
        )
        whole = block.replace("    location / {", f"{of_agents}\n    location / {{", 1)
        with test_proxy.nginx(tmp_path, whole, port=port):
            yield Front(url, tmp_path)


def test_routes_of_agents_ask_for_a_certificate_of_the_authority(front: Front) -> None:
    certificates = {"right": "web1.pem", "none": None, "wrong": "stranger.pem"}

    statuses = {
        name: front.call("/api/v1/agent/poll", certificate=certificate).status_code
        for name, certificate in certificates.items()
    }
    elsewhere = front.call("/api/v1/services/register")

    assert statuses == {"right": 401, "none": 403, "wrong": 400}, (
        "401 is Saga's: it asks for a token"
    )
    assert elsewhere.status_code == 401, "other routes ask for no certificate"


def test_agent_joins_with_its_certificate_only(front: Front) -> None:
    refused = front.join()
    joined = front.join("--certificate", str(front.folder / "web1.pem"))

    assert refused.returncode == 1, refused.stderr
    assert "403" in refused.stderr
    assert joined.returncode == 0, joined.stderr
    assert Node.objects.get().status == "approved"
