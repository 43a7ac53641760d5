"""The tail itself: what it costs, and what a viewer that falls behind loses (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction

from registry import errors, events
from registry.events import log, tail
from registry.events.log import Cursor, Entry, Selection
from registry.models import Event
from tests import waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
EVERYTHING = Selection()
Result = TypeVar("Result")


class CountingTail(tail.Tail):
    """Counts what it asks of the database."""

    queries = 0

    async def query(self, read: Callable[[], Result]) -> Result:
        self.queries += 1
        return await super().query(read)


@contextlib.asynccontextmanager
async def running(kind: type[tail.Tail] = tail.Tail) -> AsyncIterator[Any]:
    started = kind()
    started.start()
    try:
        yield started
    finally:
        await started.stop()


def publish(*names: str) -> None:
    with transaction.atomic():
        events.publish(
            *(events.EventDraft(type="service.approved", service_name=name) for name in names)
        )


async def in_thread(work: Callable[[], Result]) -> Result:
    def run() -> Result:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


async def read(viewer: tail.Viewer, count: int) -> list[str]:
    entries: list[Entry] = []
    while len(entries) < count:
        entries += await viewer.read(timeout_seconds=5)
    return [entry.service_name for entry in entries]


async def caught_up(*viewers: tail.Viewer) -> None:
    """Read until each viewer lives on what the tail hands it."""
    for viewer in viewers:
        while viewer._is_behind:
            assert await viewer.read(timeout_seconds=0.1) == []


def test_one_query_serves_all_viewers() -> None:
    async def queries_of(viewers: int) -> int:
        async with running(CountingTail) as started:
            with contextlib.ExitStack() as stack:
                here = await in_thread(log.head)
                every = [
                    stack.enter_context(started.viewer(EVERYTHING, here)) for _ in range(viewers)
                ]
                await caught_up(*every)
                before: int = started.queries
                await in_thread(lambda: publish("pay"))
                seen = await asyncio.gather(*(read(viewer, 1) for viewer in every))
                assert seen == [["pay"]] * viewers
                return int(started.queries - before)

    async def compare() -> None:
        assert await queries_of(50) <= await queries_of(1) + 20  # polls while fifty threads start

    run(compare())


def test_a_viewer_that_falls_behind_loses_its_queue_and_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tail, "QUEUE_LENGTH", 10)
    expected = [f"s{number}" for number in range(100)]

    async def follow() -> None:
        async with running() as started:
            here = await in_thread(log.head)
            with (
                started.viewer(EVERYTHING, here) as slow,
                started.viewer(Selection(services=("s99",)), here) as quick,
            ):
                await caught_up(slow, quick)
                await in_thread(lambda: publish(*expected))
                assert await read(quick, 1) == ["s99"]  # the tail has delivered to both by now

                assert await read(slow, 100) == expected

    run(follow())


def test_pages_of_a_new_viewer_and_its_queue_join_without_gap_or_overlap() -> None:
    expected = [f"s{number}" for number in range(300)]

    def write() -> None:
        for name in expected:
            publish(name)

    async def follow() -> None:
        async with running() as started:
            here = await in_thread(log.head)
            writing = asyncio.create_task(in_thread(write))
            seen: list[list[str]] = []
            while len(seen) < 3:  # viewers that come while it is being written
                with started.viewer(EVERYTHING, here) as viewer:
                    seen.append(await read(viewer, 300))
            await writing
            assert seen == [expected] * 3

    run(follow())


def test_viewer_behind_the_purge_gets_an_error() -> None:
    publish("old", "older")
    waiting.until_events_are_readable()
    first, _ = log.following(EVERYTHING, Cursor(0, 0), limit=2).entries
    Event.objects.update(occurred_at="2020-01-01T00:00:00Z")

    async def follow() -> None:
        async with running() as started:
            with started.viewer(EVERYTHING, first.cursor) as viewer:
                await in_thread(_purge_everything)
                with pytest.raises(errors.CursorTooOld):
                    await viewer.read(timeout_seconds=5)

    publish("kept")
    run(follow())


def _purge_everything() -> None:
    kept = Event.objects.get(service_name="kept")
    waiting.until_events_are_readable()
    log.purge(before=kept.occurred_at)


def test_a_place_moves_past_what_a_filter_leaves_out() -> None:
    async def follow() -> None:
        async with running() as started:
            here = await in_thread(log.head)
            with (
                started.viewer(Selection(services=("never",)), here) as filtered,
                started.viewer(EVERYTHING, here) as other,
            ):
                await caught_up(filtered, other)
                await in_thread(lambda: publish("pay"))
                await read(other, 1)

                assert filtered.place() == other.cursor > here

    run(follow())


def test_closing_wakes_every_reader() -> None:
    async def follow() -> None:
        async with running() as started:
            with started.viewer(EVERYTHING, await in_thread(log.head)) as viewer:
                await caught_up(viewer)
                reading: Awaitable[list[Entry]] = asyncio.create_task(
                    viewer.read(timeout_seconds=600)
                )
                await asyncio.sleep(0)
                started.close()

                assert await reading == []

    run(follow())


def test_a_late_commit_reaches_a_viewer_before_what_overtook_it() -> None:
    is_written, may_commit = threading.Event(), threading.Event()

    def begin_early() -> None:
        with transaction.atomic():
            events.publish(events.EventDraft(type="service.approved", service_name="early"))
            is_written.set()
            assert may_commit.wait(30)

    async def follow() -> None:
        async with running() as started:
            with started.viewer(EVERYTHING, await in_thread(log.head)) as viewer:
                await caught_up(viewer)
                early = asyncio.create_task(in_thread(begin_early))
                await asyncio.to_thread(is_written.wait, 30)
                await in_thread(lambda: publish("late"))
                assert await viewer.read(timeout_seconds=0.3) == []
                may_commit.set()
                await early

                assert await read(viewer, 2) == ["early", "late"]

    run(follow())
