"""Cursors over events: nothing skipped, nothing twice, nothing pretended after a purge."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from registry import errors, events
from registry.events import log
from registry.models import Event
from tests import waiting

EVERYTHING = log.Selection()
BEGINNING = log.Cursor(0, 0)


def publish(name: str, kind: str = "service.approved", **extra: object) -> Event:
    with transaction.atomic():
        (row,) = events.publish(events.EventDraft(type=kind, service_name=name, data=dict(extra)))
    return row


def names(page: log.Page) -> list[str]:
    return [entry.service_name for entry in page.entries]


class OpenTransaction:
    """A transaction in a thread of its own, with one event in it, until the test has it commit."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_written, self._may_commit = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._is_written.wait(10)

    def _run(self) -> None:
        try:
            with transaction.atomic():
                events.publish(events.EventDraft(type="service.approved", service_name=self._name))
                self._is_written.set()
                assert self._may_commit.wait(10)
        finally:
            connection.close()

    def commit(self) -> None:
        self._may_commit.set()
        self._thread.join(10)


@pytest.fixture
def early() -> Iterator[OpenTransaction]:
    opened = OpenTransaction("early")
    yield opened
    opened.commit()


@pytest.mark.django_db(transaction=True)
def test_does_not_skip_what_began_earlier_and_commits_later(early: OpenTransaction) -> None:
    publish("late")

    before = log.following(EVERYTHING, BEGINNING, limit=10)
    early.commit()
    waiting.until_events_are_readable()
    after = log.following(EVERYTHING, before.cursor, limit=10)

    assert names(before) == []
    assert names(after) == ["early", "late"]


@pytest.mark.django_db(transaction=True)
def test_the_newest_page_hides_what_may_still_be_overtaken(early: OpenTransaction) -> None:
    publish("late")

    page = log.newest(EVERYTHING, limit=10)
    early.commit()
    waiting.until_events_are_readable()

    assert names(page) == []
    assert names(log.following(EVERYTHING, page.cursor, limit=10)) == ["early", "late"]


@pytest.mark.django_db(transaction=True)
def test_a_reader_sees_every_event_of_racing_writers_once_and_in_order() -> None:
    def write(writer: int) -> None:
        try:
            for number in range(25):
                with transaction.atomic():
                    draft = events.EventDraft(
                        type="service.approved", service_name=f"w{writer}-{number}"
                    )
                    events.publish(draft)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    cursor = BEGINNING
    seen: list[str] = []
    while len(seen) < 100:
        are_done = not any(writer.is_alive() for writer in writers)
        if are_done:
            waiting.until_events_are_readable()
        page = log.following(EVERYTHING, cursor, limit=7)
        cursor = page.cursor
        seen += names(page)
        if are_done and not page.entries:
            break
    for writer in writers:
        writer.join()

    assert sorted(seen) == sorted(
        f"w{writer}-{number}" for writer in range(4) for number in range(25)
    )
    for mine in range(4):
        in_order = [name for name in seen if name.startswith(f"w{mine}-")]
        assert in_order == [f"w{mine}-{number}" for number in range(25)]


@pytest.mark.django_db(transaction=True)
def test_pages_join_without_gap_or_overlap() -> None:
    for number in range(5):
        publish(f"s{number}")
    waiting.until_events_are_readable()

    first = log.following(EVERYTHING, BEGINNING, limit=2)
    second = log.following(EVERYTHING, first.cursor, limit=2)
    third = log.following(EVERYTHING, second.cursor, limit=2)
    rest = log.following(EVERYTHING, third.cursor, limit=2)

    assert names(first) + names(second) + names(third) == ["s0", "s1", "s2", "s3", "s4"]
    assert rest.entries == []
    assert rest.cursor == third.cursor


@pytest.mark.django_db(transaction=True)
def test_the_newest_page_is_the_end_of_history_oldest_first() -> None:
    for number in range(5):
        publish(f"s{number}")
    waiting.until_events_are_readable()

    page = log.newest(EVERYTHING, limit=2)

    assert names(page) == ["s3", "s4"]
    assert str(page.cursor) == page.document()["events"][-1]["id"]


@pytest.mark.parametrize(
    ("services", "types", "expected"),
    [
        ((), (), ["pay", "pay", "payroll", "auth"]),
        (("pay",), (), ["pay", "pay"]),
        (("pay*",), (), ["pay", "pay", "payroll"]),
        (("payr*", "auth"), (), ["payroll", "auth"]),
        (("*",), ("service.*",), ["pay", "auth"]),
        ((), ("health.changed",), ["pay", "payroll"]),
        ((), ("health.*", "service.approved"), ["pay", "pay", "payroll", "auth"]),
        (("pay",), ("health.*",), ["pay"]),
        (("p_y",), (), []),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_the_database_and_the_fan_out_select_alike(
    services: tuple[str, ...], types: tuple[str, ...], expected: list[str]
) -> None:
    publish("pay")
    publish("pay", "health.changed")
    publish("payroll", "health.changed")
    publish("auth")
    waiting.until_events_are_readable()
    selection = log.Selection(services, types)

    everything = log.following(EVERYTHING, BEGINNING, limit=10).entries

    assert names(log.following(selection, BEGINNING, limit=10)) == expected
    assert [e.service_name for e in everything if selection.matches(e)] == expected


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-1-1", "a-b", "1-9223372036854775808", "١-١"]
)
def test_refuses_what_is_no_cursor(text: str) -> None:
    with pytest.raises(errors.InvalidCursor):
        log.parse_cursor(text)


@pytest.mark.django_db(transaction=True)
def test_refuses_a_cursor_before_what_was_purged() -> None:
    old = [publish(f"old-{number}") for number in range(3)]
    Event.objects.update(occurred_at=timezone.now() - dt.timedelta(days=40))
    new = publish("new")
    last_old = log.Cursor(old[-1].transaction, old[-1].pk)
    waiting.until_events_are_readable()

    deleted = log.purge(before=timezone.now() - dt.timedelta(days=30))

    assert deleted == 3
    with pytest.raises(errors.CursorTooOld):
        log.following(EVERYTHING, log.Cursor(old[0].transaction, old[0].pk), limit=10)
    assert names(log.following(EVERYTHING, last_old, limit=10)) == [new.service_name]


@pytest.mark.django_db(transaction=True)
def test_a_purge_of_everything_leaves_cursors_that_can_go_on() -> None:
    publish("old")
    Event.objects.update(occurred_at=timezone.now() - dt.timedelta(days=40))
    waiting.until_events_are_readable()

    log.purge(before=timezone.now())
    page = log.newest(EVERYTHING, limit=10)
    publish("new")
    waiting.until_events_are_readable()

    assert page.entries == []
    assert names(log.following(EVERYTHING, page.cursor, limit=10)) == ["new"]


@pytest.mark.django_db(transaction=True)
def test_an_event_dated_back_does_not_make_newer_cursors_too_old() -> None:
    publish("first")
    with transaction.atomic():
        long_ago = timezone.now() - dt.timedelta(days=90)
        events.publish(
            events.EventDraft(
                type="lifecycle.started", service_name="dated-back", occurred_at=long_ago
            )
        )
    waiting.until_events_are_readable()

    deleted = log.purge(before=timezone.now() - dt.timedelta(days=30))

    assert deleted == 0
    assert names(log.following(EVERYTHING, BEGINNING, limit=10)) == ["first", "dated-back"]


@pytest.mark.django_db(transaction=True)
def test_refuses_a_cursor_of_another_history() -> None:
    with pytest.raises(errors.CursorTooOld):
        log.following(EVERYTHING, log.Cursor(2**62, 1), limit=10)


@pytest.mark.django_db(transaction=True)
def test_events_of_a_restored_dump_are_read_again_and_old_cursors_refused() -> None:
    row = publish("a")
    publish("b")
    Event.objects.update(transaction=F("transaction") + 10**12)
    waiting.until_events_are_readable()
    lost = log.newest(EVERYTHING, limit=10)

    is_adopted = log.adopt_restored()
    publish("c")
    waiting.until_events_are_readable()

    assert names(lost) == []
    assert is_adopted
    assert names(log.newest(EVERYTHING, limit=10)) == ["a", "b", "c"]
    for number in (row.transaction, row.transaction + 10**12):
        with pytest.raises(errors.CursorTooOld):
            log.following(EVERYTHING, log.Cursor(number, row.pk), limit=10)


@pytest.mark.django_db(transaction=True)
def test_events_of_this_cluster_are_left_as_they_are() -> None:
    row = publish("a")

    assert not log.adopt_restored()
    assert Event.objects.get().transaction == row.transaction
