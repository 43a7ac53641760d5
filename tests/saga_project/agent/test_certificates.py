"""Mutual TLS: a server that asks for the host's certificate gets it, and no other server does."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import saga_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from saga_client import transport

from saga_project.agent.state import AgentState, Identity
from saga_project.shared import http_client
from saga_project.shared.http_client import sockets


def write_certificate(folder: Path, *, address: str = "127.0.0.1") -> Path:
    """Write a certificate of an address that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web1")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "host.pem"
    file.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))  # as on a host with an authority of its own
    sockets.tls.cache_clear()
    yield file
    sockets.tls.cache_clear()


@pytest.fixture
def server(certificate: Path) -> Iterator[HTTPServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(host="127.0.0.1", port=0, ssl_context=context) as running:
        running.expect_request("/api/v1/health").respond_with_json({"status": "healthy"})
        running.expect_request("/artifact").respond_with_data(b"whole")
        yield running


def test_client_presents_the_certificate_and_is_refused_without_it(
    server: HTTPServer, certificate: Path
) -> None:
    url = server.url_for("").rstrip("/")
    identity = Identity(
        server=url,
        node="web1",
        token="saga_x",
        public_key="",
        certificate=str(certificate),
        key=str(certificate),
    )

    answer = transport.Transport(url, token="saga_x", tls=identity.tls()).call("GET", "/health")
    with pytest.raises(saga_client.Unreachable):
        transport.Transport(url, token="saga_x").call("GET", "/health")

    assert answer == {"status": "healthy"}


def test_download_presents_it_to_this_server_only(
    server: HTTPServer, certificate: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SAGA_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    monkeypatch.setattr(sockets, "_presenting", {})
    url = server.url_for("/artifact")
    with pytest.raises(http_client.NoAnswer):
        http_client.request("GET", url, purpose="artifact")
    http_client.present_certificate(
        server.url_for(""), certificate=str(certificate), key=str(certificate)
    )

    answer = http_client.request("GET", url, purpose="artifact")

    assert answer.body == b"whole"
    assert list(sockets._presenting) == [("127.0.0.1", server.port)]


def test_identity_of_an_agent_that_joined_before_has_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(
        '{"server": "https://saga.example.com", "node": "web1", "token": "t", "public_key": "k"}'
    )
    identity = AgentState(tmp_path).read_identity()

    assert identity is not None
    assert identity.tls() is None
