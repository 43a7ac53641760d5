"""Of several beats the one with the lease sends."""

from __future__ import annotations

from collections.abc import Iterator

import celery as celery_library
import pytest

from saga_project import celery
from saga_project.local.beat import LONGEST_TICK_SECONDS, ElectedScheduler
from tests import redis_servers
from tests.redis_servers import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


def test_one_beat_leads_and_another_takes_over() -> None:
    first, second = (ElectedScheduler(app=celery.app) for _ in range(2))

    first.tick()
    pause_seconds = second.tick()
    leaders = [first.election.is_leading, second.election.is_leading]
    first.close()
    second.tick()

    assert leaders == [True, False]
    assert pause_seconds == LONGEST_TICK_SECONDS
    assert second.election.is_leading


@pytest.fixture
def full() -> Iterator[RedisServer]:
    """A Redis without room: it refuses every write."""
    with redis_servers.running("--maxmemory", "1") as server:
        yield server


def test_a_redis_that_refuses_writes_is_one_line(
    full: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = celery_library.Celery(broker=full.url, set_as_current=False)
    app.conf.beat_schedule = celery.app.conf.beat_schedule
    scheduler = ElectedScheduler(app=app)
    entries = [each for each in scheduler.schedule.values() if each.task.startswith("updates.")]
    caplog.clear()

    for entry in entries:
        scheduler.apply_entry(entry)
    with full.client() as client:
        client.config_set("maxmemory", 0)
    scheduler.apply_entry(entries[0])
    scheduler.close()

    lines = [record.getMessage() for record in caplog.records if "beat" in record.getMessage()]
    assert len(entries) > 1
    assert lines == ["beat cannot send", "beat sends again"]
    assert not any(record.exc_info for record in caplog.records)
