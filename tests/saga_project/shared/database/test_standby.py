"""PostgreSQL with a streaming standby that is promoted under load: no acknowledged call is lost."""

from __future__ import annotations

import itertools
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from tests import postgresql_servers, waiting, webserver
from tests.postgresql_servers import Cluster
from tests.webserver import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


class Registering:
    """Registers one service after the other, and notes what was answered."""

    def __init__(self, server: WebServer) -> None:
        self.statuses: set[int] = set()
        self.acknowledged: list[str] = []
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for number in itertools.count():
            if self._is_over.wait(0.02):
                return
            name = f"s-{number}"
            body = {"service_name": name, "service_url": "http://localhost:1", "ttl": 3600}
            status = self._server.post("/api/v1/services/register", json=body).status_code
            self.statuses.add(status)
            if status == requests.codes.ok:
                self.acknowledged.append(name)

    def __enter__(self) -> Registering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def copy_schema(cluster: Cluster) -> None:
    """Copy this test's empty database: quicker than all migrations."""
    tools = Path(cluster.primary.argv[0]).parent
    dump = subprocess.run(
        [tools / "pg_dump", "--no-owner", "--no-privileges", webserver.database_url()],
        check=True,
        capture_output=True,
    )
    url = cluster.url.replace("read-write", "any")
    subprocess.run(
        [tools / "psql", "--quiet", "--set=ON_ERROR_STOP=1", url],
        input=dump.stdout,
        check=True,
        capture_output=True,
    )


def test_a_promoted_standby_has_every_acknowledged_call() -> None:
    with postgresql_servers.running() as cluster:
        copy_schema(cluster)
        with (
            webserver.serving(DATABASE_URL=cluster.url) as server,
            Registering(server) as registering,
        ):
            waiting.until(lambda: len(registering.acknowledged) >= 10)
            postmaster = cluster.primary.find()
            assert postmaster is not None
            postmaster.kill()
            waiting.until(lambda: 503 in registering.statuses)
            cluster.promote()
            before = len(registering.acknowledged)
            waiting.until(lambda: len(registering.acknowledged) >= before + 10, seconds=60)
        with postgresql_servers.connect(cluster.standby, database="saga") as reader:
            stored = {name for (name,) in reader.execute("SELECT name FROM registry_service")}

    assert registering.statuses == {200, 503}
    assert set(registering.acknowledged) <= stored
