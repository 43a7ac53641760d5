"""Saga behind a real nginx or Caddy: with TLS as docs/running.md prints it, and as a careless proxy."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.contrib.auth.models import User
from requests.adapters import HTTPAdapter

from registry.identity import accounts
from saga_project.local.embedded import processes
from tests import webserver

NGINX = shutil.which(
    "nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"
)
CADDY = shutil.which("caddy", path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
CLIENT = "127.0.0.2"
DOCUMENT = webserver.ROOT / "docs" / "running.md"
REGISTRATION = {"service_name": "shop", "service_url": "http://127.0.0.1:9/shop"}
#: What a proxy is configured to when its administrator thinks of Saga as of any other program.
CARELESS = """
server {
    listen 127.0.0.1:%(port)d;
    location / {
        proxy_pass http://127.0.0.1:8030;
        %(more)s
    }
}
"""

pytestmark = pytest.mark.django_db(transaction=True)
needs_nginx = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (Debian: apt install nginx-light)"
)
needs_caddy = pytest.mark.skipif(
    CADDY is None, reason="Caddy is not installed (Debian: apt install caddy)"
)


class FromClient(HTTPAdapter):
    """Calls from an address that is not the proxy's."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=(CLIENT, 0), **options)


def documented_block(proxy: str, replaced: dict[str, str], document: Path = DOCUMENT) -> str:
    """Return the proxy's block of the document, fitted to the test."""
    match = re.search(rf"```{proxy}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"{document} shows no {proxy} block"
    block = match[1]
    for old, new in replaced.items():
        assert old in block
        block = block.replace(old, new)
    return block


def make_certificate(folder: Path) -> None:
    """Write a key, and a certificate for localhost that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "saga.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "saga.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextlib.contextmanager
def nginx(folder: Path, servers: str, *, port: int) -> Iterator[None]:
    """Run nginx with these server blocks until the block ends."""
    assert NGINX
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"{servers}\n}}\n"
    )
    with running([NGINX, "-p", str(folder), "-c", str(configuration)], port=port):
        yield


@contextlib.contextmanager
def caddy(folder: Path, site: str, *, port: int) -> Iterator[None]:
    """Run Caddy with this site until the block ends."""
    assert CADDY
    configuration = folder / "Caddyfile"
    configuration.write_text(
        f"{{\nadmin off\nauto_https disable_redirects\nstorage file_system {folder}/caddy\n}}\n{site}"
    )
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with running(command, port=port, environment={"HOME": str(folder)}):
        yield


@contextlib.contextmanager
def running(
    command: list[str], *, port: int, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Run the program, from the moment that it accepts connections until the block ends."""
    process = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def documented(proxy: str, folder: Path, *, port: int, upstream: int) -> Iterator[None]:
    """Run the proxy with the block of the document, on ``port`` in front of ``upstream``."""
    if proxy == "nginx":
        replaced = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "saga.example.com": "localhost",
            "/etc/ssl/saga.pem": f"{folder}/saga.pem",
            "/etc/ssl/saga.key": f"{folder}/saga.key",
            "127.0.0.1:8030": f"127.0.0.1:{upstream}",
        }
        with nginx(folder, documented_block(proxy, replaced), port=port):
            yield
        return
    site = f"https://localhost:{port} {{\n    bind 127.0.0.1\n    tls {folder}/saga.pem {folder}/saga.key"
    replaced = {"saga.example.com {": site, "127.0.0.1:8030": f"127.0.0.1:{upstream}"}
    with caddy(folder, documented_block(proxy, replaced), port=port):
        yield


@pytest.mark.parametrize(
    "proxy", [pytest.param("nginx", marks=needs_nginx), pytest.param("caddy", marks=needs_caddy)]
)
def test_the_documented_block_serves_login_streams_and_tokens_over_tls(
    tmp_path: Path, redis: object, proxy: str
) -> None:
    User.objects.create_superuser("adam", password="a long pass phrase")
    account = accounts.ensure_account("ci", scopes=["registry:manage", "services:read"])
    _, token = accounts.issue_token(account, scopes=["registry:manage", "services:read"])
    make_certificate(tmp_path)
    port = processes.any_free_port()
    url = f"https://localhost:{port}"
    log = tmp_path / "web.log"
    with (
        log.open("wb") as stderr,
        webserver.serving(
            log=stderr,
            SAGA_AUTH="required",
            SAGA_PUBLIC_URL=url,
            SAGA_TRUSTED_PROXIES="127.0.0.1",
            SAGA_LOG_FORMAT="json",
        ) as server,
        documented(proxy, tmp_path, port=port, upstream=server.port),
        requests.Session() as session,
    ):
        session.trust_env = False  # a bundle that the environment names would win
        session.verify = str(tmp_path / "saga.pem")
        session.mount(url, FromClient())
        log_in(session, url)
        fail_to_log_in(session, url)
        session.cookies.clear()
        assert (
            session.post(
                f"{url}/api/v1/services/register", json=REGISTRATION, timeout=60
            ).status_code
            == 401
        )
        session.headers["Authorization"] = f"Bearer {token}"
        read_stream_while_registering(session, url)

    assert f'"client": "{CLIENT}"' in log.read_text()
    assert "6.6.6.6" not in log.read_text()


def log_in(session: requests.Session, url: str) -> None:
    page = session.get(f"{url}/admin/login/", timeout=60)
    form = {
        "username": "adam",
        "password": "a long pass phrase",
        "csrfmiddlewaretoken": re.findall(r'csrfmiddlewaretoken" value="([^"]+)"', page.text)[0],
    }
    answer = session.post(
        f"{url}/admin/login/",
        form,
        headers={"Origin": url, "Referer": f"{url}/admin/login/"},
        allow_redirects=False,
        timeout=60,
    )

    assert answer.status_code == 302, answer.text
    assert all(cookie.secure for cookie in session.cookies)
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    assert session.get(f"{url}/admin/", timeout=60).status_code == 200


def fail_to_log_in(session: requests.Session, url: str) -> None:
    """Send a wrong password, which is written to the log, and an address that is not the client's."""
    page = session.get(f"{url}/admin/login/", cookies={"saga_session": "none"}, timeout=60)
    tokens = re.findall(r'csrfmiddlewaretoken" value="([^"]+)"', page.text)
    form = {
        "username": "eve",
        "password": "wrong",
        "csrfmiddlewaretoken": tokens[0] if tokens else "",
    }
    session.post(
        f"{url}/admin/login/",
        form,
        headers={"Origin": url, "X-Forwarded-For": "6.6.6.6"},
        timeout=60,
    )


def read_stream_while_registering(session: requests.Session, url: str) -> None:
    """Expect the event of a registration while the stream is still open: nothing on the way buffers it."""
    with session.get(f"{url}/api/v1/events/stream", stream=True, timeout=60) as stream:
        lines = stream.iter_lines(chunk_size=1)
        assert next(lines).startswith(b"retry:")

        answer = session.post(f"{url}/api/v1/services/register", json=REGISTRATION, timeout=60)

        assert answer.status_code == 200
        assert any(line == b"event: service.registered" for line in lines)


@needs_nginx
@pytest.mark.parametrize(
    ("more", "headers"),
    [
        # HTTP/1.0 to the upstream, as nginx spoke by default until 1.29.7, with the upstream's name as Host.
        ("proxy_http_version 1.0;", {}),
        ("proxy_http_version 1.0; proxy_set_header Host $http_host;", {"Host": "localhost"}),
        (
            "proxy_http_version 1.1; proxy_set_header Host $http_host;"
            " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            {"Host": "localhost"},
        ),
        ('proxy_http_version 1.0; proxy_set_header Host "";', {}),
    ],
)
def test_a_careless_proxy_does_not_open_a_server_in_open_mode(
    tmp_path: Path, redis: object, more: str, headers: dict[str, str]
) -> None:
    port = processes.any_free_port()
    with webserver.serving(SAGA_AUTH="open") as server:
        block = CARELESS % {"port": port, "more": more}
        block = block.replace("127.0.0.1:8030", f"127.0.0.1:{server.port}")
        with nginx(tmp_path, block, port=port):
            answer = requests.post(
                f"http://127.0.0.1:{port}/api/v1/services/register",
                json=REGISTRATION,
                headers=headers,
                timeout=60,
            )
        direct = server.post("/api/v1/services/register", json=REGISTRATION)

    assert answer.status_code == 401
    assert direct.status_code == 200
