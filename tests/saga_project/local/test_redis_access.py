"""Redis behind TLS and with an ACL user: web processes, the change channel and Celery reach it."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
import redis as redis_library

from saga_project.local import embedded
from saga_project.local.embedded import processes
from saga_project.shared import redis_urls
from tests import redis_servers, waiting, webserver
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

REDIS_SERVER, OPENSSL = shutil.which("redis-server"), shutil.which("openssl")
#: What docs/high-availability.md prints.
RULES = ("~*", "&*", "+@all", "-@dangerous", "-@admin", "+info")


@pytest.fixture(scope="module")
def tls_url() -> Iterator[str]:
    if REDIS_SERVER is None or OPENSSL is None:
        pytest.skip("redis-server and openssl are not installed (apt: redis-server openssl)")
    with tempfile.TemporaryDirectory(prefix="saga-tls-") as name:
        pem, key = Path(name) / "tls.pem", Path(name) / "tls.key"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run(
            [*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True
        )
        port = processes.any_free_port()
        files = [
            "--tls-cert-file",
            str(pem),
            "--tls-key-file",
            str(key),
            "--tls-auth-clients",
            "no",
        ]
        argv = [REDIS_SERVER, "--port", "0", "--tls-port", str(port), "--save", "", *files]
        process = subprocess.Popen(argv, cwd=name, stdout=subprocess.DEVNULL)
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={pem}"
        try:
            waiting.until(lambda: is_answering(url))
            yield url
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def acl_url() -> Iterator[str]:
    with redis_servers.running() as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "saga", "on", ">p@ss", *RULES)
            client.execute_command("ACL", "SETUSER", "default", "off")
        yield f"redis://saga:p%40ss@127.0.0.1:{server.port}/0"


def is_answering(url: str) -> bool:
    with contextlib.suppress(redis_library.RedisError), redis_library.Redis.from_url(url) as client:
        return bool(client.ping())
    return False


@pytest.fixture(params=["tls_url", "acl_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_services_register_send_heartbeats_and_are_served_from_memory(url: str) -> None:
    with webserver.serving(REDIS_URL=url) as server:
        body = {"service_name": "pay", "service_url": "http://localhost:1", "ttl": 60}
        waiting.until(
            lambda: server.post("/api/v1/services/register", json=body).status_code == 200,
            seconds=120,
        )

        waiting.until(
            lambda: server.post("/api/v1/services/pay/heartbeat", json={}).status_code == 200
        )
        waiting.until(lambda: cache_hits(server) > 0)


def cache_hits(server: WebServer) -> int:
    """Look the service up, and return how many lookups were served from memory so far."""
    server.get("/api/v1/services/pay")
    return int(server.get("/api/v1/health").json()["cache"]["hits"])


def test_certificates_are_read_once_for_all_connections_until_their_file_changes(
    tls_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reads, read = [], ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: reads.append(1) or read())  # type: ignore[func-returns-value]
    address, _, known = tls_url.partition("ssl_ca_certs=")
    trusted = Path(shutil.copy(known, tmp_path / "trusted.pem"))
    options = redis_urls.cache(tls_url, None)["OPTIONS"]["CONNECTION_POOL_KWARGS"]
    pool = redis_library.ConnectionPool.from_url(f"{address}ssl_ca_certs={trusted}", **options)

    for _ in range(3):
        pool.make_connection().connect()
    assert len(reads) == 1

    os.utime(trusted, (1, 1))
    pool.make_connection().connect()
    assert len(reads) == 2
    trusted.write_text("")
    with pytest.raises(redis_library.ConnectionError):
        pool.make_connection().connect()


def test_celery_sends_and_receives(url: str) -> None:
    with kombu.Connection(embedded.broker_url(url)) as broker, broker.SimpleQueue("of-a-test") as q:
        q.put({"number": 1})
        message = q.get(timeout=10)
        message.ack()

    assert message.payload == {"number": 1}
