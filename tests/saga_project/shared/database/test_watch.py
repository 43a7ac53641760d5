"""The watch over PostgreSQL, over connections that break and freeze."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from saga_project.shared.database import watch
from tests import faults, waiting

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "watched-by-a-test"


@pytest.fixture
def proxy() -> Iterator[faults.FaultProxy]:
    known = connection.settings_dict
    with faults.FaultProxy(known["HOST"], int(known["PORT"] or 5432)).running() as running:
        yield running


@pytest.fixture
def parameters(proxy: faults.FaultProxy) -> dict[str, Any]:
    own = {"host": "127.0.0.1", "port": proxy.port, "application_name": NAME}
    return connection.get_connection_params() | own


@pytest.fixture
def outages(parameters: dict[str, Any]) -> Iterator[list[str]]:
    """What a watch through the proxy received; it has asked already."""
    reported: list[str] = []
    watching = watch.DatabaseWatch(parameters, silenced=lambda: reported.append("silenced"))
    watching.start()
    waiting.until(watch.is_answering)  # its connection is seen before it has asked over it
    yield reported
    watching.stop()


def asking() -> set[int]:
    """Return the server's processes that answer the watch."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return {row[0] for row in cursor.fetchall()}


def test_silence_ends_as_it_began(proxy: faults.FaultProxy, outages: list[str]) -> None:
    proxy.freeze()
    waiting.until(watch.is_silent)

    proxy.thaw()

    waiting.until(lambda: not watch.is_silent())
    assert outages == ["silenced"]


def test_a_connection_that_broke_is_no_outage(proxy: faults.FaultProxy, outages: list[str]) -> None:
    before = asking()

    proxy.reset()

    waiting.until(lambda: asking() - before)
    assert outages == []


def test_waiting_caller_gets_the_error_and_the_connection_is_closed(
    proxy: faults.FaultProxy, parameters: dict[str, Any], outages: list[str]
) -> None:
    with watch.WatchedConnection.connect(**parameters) as waiter:
        proxy.freeze()

        with pytest.raises(watch.DatabaseSilent):
            waiter.execute("SELECT 1")

        assert waiter.closed


def test_caller_during_an_outage_gets_the_error_at_once(
    proxy: faults.FaultProxy, outages: list[str]
) -> None:
    proxy.refuse()
    waiting.until(watch.is_silent)

    with pytest.raises(watch.DatabaseSilent):
        connection.copy().connect()


def test_a_slow_answer_is_waited_for(parameters: dict[str, Any], outages: list[str]) -> None:
    slow_seconds = watch.PATIENCE * watch.NOTICE_SECONDS + 0.5

    with watch.WatchedConnection.connect(**parameters) as waiter:
        assert waiter.execute("SELECT 1 FROM pg_sleep(%s)", [slow_seconds]).fetchone()
