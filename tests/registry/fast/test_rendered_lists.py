"""Answers that are kept ready are never older than what was written before they are asked for."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Iterator

import orjson
import pytest
from redis import Redis

from registry import directory, operations, presence
from registry.fast import rendered_lists
from saga_project.shared import timestamps
from tests import replica

pytestmark = pytest.mark.django_db(transaction=True)

WRITES = 2000
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture
def following(redis: Redis) -> Iterator[None]:
    """This process holds a replica, and its threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    registration = operations.Registration(
        service_name="alpha", url="http://127.0.0.1:9", ttl_seconds=3600
    )
    operations.register(registration, by=None, now=NOW)
    with replica.following():
        yield
    sys.setswitchinterval(before)


class Reader(threading.Thread):
    """Fills and reads without a pause, as an event loop would; notes what was older than it may be."""

    def __init__(self) -> None:
        super().__init__()
        self.written_us = 0
        self.reads = 0
        self.has_read = threading.Event()
        self.stale: list[tuple[int, int]] = []
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            written_us = self.written_us
            alone, listed = rendered_lists.service("alpha"), rendered_lists.listing()
            rows = [orjson.loads(alone[1])] if alone else []
            rows += orjson.loads(listed[1])["services"] if listed else []
            for row in rows:
                seen_us = timestamps.microseconds(dt.datetime.fromisoformat(row["last_heartbeat"]))
                if seen_us < written_us:
                    self.stale.append((written_us, seen_us))
            self.reads += 1
            if self.reads % 3 == 0:
                self.has_read.set()


def test_a_write_that_races_with_filling_is_never_lost(following: None) -> None:
    reader = Reader()
    reader.start()
    for _ in range(WRITES):
        [heartbeat_us] = presence.renew(["alpha/default"])
        directory.wait_for(presence.sequence(), timeout_seconds=10)
        reader.written_us = heartbeat_us
        reader.has_read.clear()
        reader.has_read.wait()
    reader.is_over = True
    reader.join()

    assert reader.stale == []
    assert reader.reads > WRITES
