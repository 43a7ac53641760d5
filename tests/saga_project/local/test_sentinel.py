"""Redis behind Sentinel: a failover under load loses no live service, and Celery follows."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import kombu
import pytest
import requests

from saga_project import env
from saga_project.local import embedded
from saga_project.local.embedded import processes
from saga_project.shared import redis_urls
from tests import redis_servers, waiting, webserver
from tests.redis_servers import RedisServer
from tests.webserver import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

SENTINEL = shutil.which("redis-sentinel")
CONFIGURATION = """\
port {port}
bind 127.0.0.1
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


@dataclass
class Watched:
    """A master with a replica, and a sentinel that watches them."""

    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/mymaster/0"

    def has_replica(self) -> bool:
        with self.replica.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def knows_replica(self) -> bool:
        with self.sentinel.client() as client:
            return bool(client.execute_command("SENTINEL", "REPLICAS", "mymaster"))


@pytest.fixture(scope="module")
def watched_class() -> type[Watched]:
    if SENTINEL is None:
        pytest.skip("redis-sentinel is not installed (apt: redis-sentinel)")
    return Watched


@pytest.fixture
def watched(watched_class: type[Watched]) -> Iterator[Watched]:
    with contextlib.ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="saga-sentinel-")))
        master = resources.enter_context(redis_servers.running())
        replica = resources.enter_context(
            redis_servers.running("--replicaof", f"127.0.0.1 {master.port}")
        )
        port = processes.any_free_port()
        (folder / "sentinel.conf").write_text(CONFIGURATION.format(port=port, master=master.port))
        sentinel = resources.enter_context(
            redis_servers.serving([str(SENTINEL), str(folder / "sentinel.conf")], port=port)
        )
        servers = watched_class(master, replica, sentinel)
        waiting.until(servers.has_replica, seconds=30)
        waiting.until(servers.knows_replica, seconds=60)
        yield servers


def beat(server: WebServer, name: str = "") -> requests.Response:
    path = f"/api/v1/services/{name}/heartbeat" if name else "/api/v1/services/register"
    body = {} if name else {"service_name": "new", "service_url": "http://localhost:2"}
    return server.post(path, json=body)


def test_a_failover_loses_no_live_service(watched: Watched) -> None:
    with webserver.serving(REDIS_URL=watched.url) as server:
        waiting.until(
            lambda: (
                server.post(
                    "/api/v1/services/register",
                    json={"service_name": "pay", "service_url": "http://localhost:1", "ttl": 60},
                ).status_code
                == 200
            ),
            seconds=30,
        )
        with watched.master.client() as client:
            client.wait(1, 5000)
        watched.master.process.kill()
        seen: list[int] = []

        def has_followed() -> bool:
            seen.append(beat(server, "pay").status_code)
            return seen[-1] == 200 and beat(server).status_code == 200

        waiting.until(has_followed, seconds=60)
        found = server.get("/api/v1/services/pay")

    assert set(seen) <= {200, 503}
    assert found.status_code == 200


def test_celery_follows_the_sentinels(watched: Watched) -> None:
    known = redis_urls.parse_sentinels(watched.url)
    assert known is not None
    broker = kombu.Connection(
        embedded.broker_url(watched.url), transport_options=known.broker_options
    )

    with broker, broker.SimpleQueue("of-a-test") as queue:
        queue.put({"number": 1})
        message = queue.get(timeout=10)
        message.ack()

    assert message.payload == {"number": 1}


# --- The URL --------------------------------------------------------------------------------------


def test_reads_every_part_of_a_sentinel_url() -> None:
    known = redis_urls.parse_sentinels("redis+sentinel://ada:l%40ce@h1:26380,h2,[::1]:5/main/3")

    assert known == redis_urls.SentinelUrl(
        (("h1", 26380), ("h2", 26379), ("::1", 5)), "main", 3, "ada", "l@ce"
    )
    assert known.server_url("10.0.0.1", 6379) == "redis://ada:l%40ce@10.0.0.1:6379/3"
    assert redis_urls.database_of("redis+sentinel://h1/main/3") == 3


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://h1",
        "redis+sentinel:///main/0",
        "redis+sentinel://h1/main/zero",
        "redis+sentinel://h1:port/main/0",
    ],
)
def test_refuses_a_sentinel_url_that_is_incomplete(url: str) -> None:
    with pytest.raises(env.ConfigurationError, match="REDIS_URL"):
        embedded.sentinels_of(url)


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h/0", "unix:///run/redis?db=1"])
def test_other_urls_name_no_sentinels(url: str) -> None:
    assert embedded.sentinels_of(url) is None
