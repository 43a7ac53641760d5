"""Streams and long polls, against real web processes."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.db import connection, transaction
from django.utils import timezone

from registry import events
from registry.models import Event
from tests import waiting, webserver
from tests.webserver import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
EVENTS = "/api/v1/events"
STREAM = "/api/v1/events/stream"


def publish(*names: str, kind: str = "service.approved", **data: Any) -> None:
    with transaction.atomic():
        events.publish(
            *(events.EventDraft(type=kind, service_name=name, data=data) for name in names)
        )


def in_background(work: Callable[[], Any]) -> threading.Thread:
    """Run in a thread, with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class Reader:
    """A client of a stream; ``frames`` ends when the server ends it."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self._lines = response.iter_lines(chunk_size=64 * 1024)

    def frames(self) -> Iterator[dict[str, str]]:
        """Yield every block: fields by name, comments under an empty name."""
        block: dict[str, str] = {}
        for line in self._lines:
            if not line:
                yield block
                block = {}
                continue
            name, _, value = line.decode().partition(":")
            block[name] = value.strip()

    def events(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for frame in self.frames():
            if "data" in frame:
                found.append(json.loads(frame["data"]))
            if len(found) == count:
                break
        return found

    def begin(self) -> dict[str, str]:
        """Wait until the server has begun to follow for this reader."""
        return next(self.frames())


@contextlib.contextmanager
def streaming(server: WebServer, query: str = "", **headers: str) -> Iterator[Reader]:
    with requests.get(
        f"{server.url}{STREAM}{query}", headers=headers, stream=True, timeout=60
    ) as response:
        assert response.status_code == 200, response.text
        yield Reader(response)


def names(documents: list[dict[str, Any]]) -> list[str]:
    return [document["service_name"] for document in documents]


# --- Long polls -----------------------------------------------------------------------------------


def test_a_long_poll_is_answered_when_something_happens(server: WebServer) -> None:
    cursor = server.get(EVENTS).json()["cursor"]
    waiting = ThreadPoolExecutor(1).submit(server.get, f"{EVENTS}?after={cursor}&wait=60")

    publish("pay")

    page = waiting.result(30).json()
    assert names(page["events"]) == ["pay"]
    assert page["cursor"] == page["events"][0]["id"]


def test_a_long_poll_sees_only_what_its_filter_selects(server: WebServer) -> None:
    cursor = server.get(EVENTS).json()["cursor"]
    query = f"?after={cursor}&wait=60&service=pay&type=health.*"
    waiting = ThreadPoolExecutor(1).submit(server.get, EVENTS + query)

    publish("pay")
    publish("auth", kind="health.changed")
    publish("pay", kind="health.changed")

    (event,) = waiting.result(30).json()["events"]
    assert (event["service_name"], event["type"]) == ("pay", "health.changed")


def test_a_long_poll_without_news_repeats_its_cursor(server: WebServer) -> None:
    cursor = server.get(EVENTS).json()["cursor"]

    response = server.get(f"{EVENTS}?after={cursor}&wait=0.2", headers={"X-Request-ID": "mine"})

    assert response.json() == {"events": [], "cursor": cursor}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-ID"] == "mine"


def test_long_polls_hold_no_threads(server: WebServer) -> None:
    cursor = server.get(EVENTS).json()["cursor"]
    with ThreadPoolExecutor(60) as clients:
        waiting = [
            clients.submit(server.get, f"{EVENTS}?after={cursor}&wait=60") for _ in range(60)
        ]

        assert server.get("/api/v1/services").status_code == 200
        publish("pay")

        pages = [poll.result(60).json() for poll in waiting]
    assert [names(page["events"]) for page in pages] == [["pay"]] * 60


# --- Server-Sent Events ---------------------------------------------------------------------------


def test_a_stream_sends_what_happens_as_the_list_does(server: WebServer) -> None:
    with streaming(server) as reader:
        first = reader.begin()
        publish("pay", reason="test")
        frame = next(frame for frame in reader.frames() if "data" in frame)

    (listed,) = server.get(f"{EVENTS}?after={first['id']}").json()["events"]
    assert first["retry"] == "3000"
    assert json.loads(frame["data"]) == listed
    assert frame["event"] == "service.approved"
    assert frame["id"] == listed["id"]
    assert reader.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert reader.response.headers["Cache-Control"] == "no-store"


def test_a_stream_goes_on_after_the_last_event_id(server: WebServer) -> None:
    start = server.get(EVENTS).json()["cursor"]
    publish("a", "b", "c")
    first = server.get(f"{EVENTS}?after={start}&wait=30").json()["events"][0]["id"]

    with streaming(server, f"?after={start}", **{"Last-Event-ID": first}) as reader:
        assert names(reader.events(2)) == ["b", "c"]


def test_a_stream_begins_after_a_cursor(server: WebServer) -> None:
    start = server.get(EVENTS).json()["cursor"]
    publish("a", "b")

    with streaming(server, f"?after={start}") as reader:
        assert names(reader.events(2)) == ["a", "b"]


def test_a_stream_sends_only_what_its_filter_selects(server: WebServer) -> None:
    with streaming(server, "?service=pay*&type=health.*") as reader:
        reader.begin()
        publish("pay")
        publish("auth", kind="health.changed")
        publish("payroll", kind="health.changed")

        (event,) = reader.events(1)

    assert (event["service_name"], event["type"]) == ("payroll", "health.changed")


def test_every_viewer_of_every_process_gets_every_event_in_order(server: WebServer) -> None:
    expected = [f"s{number}" for number in range(200)]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(20) as clients:
        readers = [stack.enter_context(streaming(server)) for _ in range(20)]
        for reader in readers:
            reader.begin()

        for position in range(0, 200, 20):
            publish(*expected[position : position + 20])

        seen = list(clients.map(lambda reader: names(reader.events(200)), readers))
    assert seen == [expected] * 20


def test_a_transaction_that_commits_late_is_not_skipped(server: WebServer) -> None:
    is_written, may_commit = threading.Event(), threading.Event()

    def begin_early() -> None:
        with transaction.atomic():
            events.publish(events.EventDraft(type="service.approved", service_name="early"))
            is_written.set()
            may_commit.wait(30)

    with streaming(server) as reader:
        reader.begin()
        thread = in_background(begin_early)
        assert is_written.wait(30)
        publish("late")
        may_commit.set()
        thread.join(30)

        assert names(reader.events(2)) == ["early", "late"]


def test_lost_wake_up_only_costs_time(server: WebServer) -> None:
    with streaming(server) as reader:
        reader.begin()
        Event.objects.create(
            type="service.approved", service_name="quiet", occurred_at=timezone.now()
        )

        assert names(reader.events(1)) == ["quiet"]


def test_reader_that_reads_nothing_does_not_delay_others(server: WebServer) -> None:
    expected = [f"s{number}" for number in range(300)]
    with streaming(server), streaming(server) as reader:  # the first one never reads
        reader.begin()
        for position in range(0, 300, 50):
            publish(*expected[position : position + 50], padding="x" * 20_000)

        assert names(reader.events(300)) == expected


# --- How many, and how they end -------------------------------------------------------------------


def test_streams_are_bounded_over_all_processes() -> None:
    with (
        webserver.serving(processes=2, SAGA_MAX_STREAMS="3") as server,
        contextlib.ExitStack() as stack,
    ):
        readers = [stack.enter_context(streaming(server)) for _ in range(3)]
        for reader in readers:
            reader.begin()

        refused = server.get(STREAM)

        assert refused.status_code == 503
        assert refused.json()["error"] == "Too many streams"
        assert int(refused.headers["Retry-After"]) > 0

        readers[0].response.close()
        publish("a")  # so that the server notices at once
        waiting.until(lambda: _has_a_seat(server), seconds=30)


def test_slots_of_a_killed_process_are_released() -> None:
    with webserver.serving(SAGA_MAX_STREAMS="1") as server, streaming(server) as reader:
        reader.begin()
        server.signal(signal.SIGKILL)
        server.wait()

        with webserver.serving(data_dir=server.data_dir, SAGA_MAX_STREAMS="1") as successor:
            waiting.until(lambda: _has_a_seat(successor), seconds=30)


def _has_a_seat(server: WebServer) -> bool:
    with requests.get(f"{server.url}{STREAM}", stream=True, timeout=60) as response:
        return response.status_code == 200


def test_a_stop_ends_streams_and_long_polls_at_once() -> None:
    with webserver.serving() as server, ThreadPoolExecutor(1) as client:
        cursor = server.get(EVENTS).json()["cursor"]
        with streaming(server) as reader:
            reader.begin()
            poll = client.submit(server.get, f"{EVENTS}?after={cursor}&wait=60")
            _until_it_waits(server)

            server.signal(signal.SIGTERM)

            assert poll.result(30).json() == {"events": [], "cursor": cursor}
            assert [frame for frame in reader.frames() if "data" in frame] == []
        assert server.wait() == [-signal.SIGTERM]


def _until_it_waits(server: WebServer) -> None:
    """A later request was answered, so the poll before it waits in the event loop or a thread."""
    assert server.get("/api/v1/services").status_code == 200


def test_a_stream_asks_for_a_token_as_any_route_does() -> None:
    with webserver.serving(SAGA_AUTH="required") as server:
        for path in (STREAM, f"{EVENTS}?wait=60"):
            missing = server.get(path)
            wrong = server.get(path, headers={"Authorization": "Bearer saga_" + "x" * 43})

            assert missing.status_code == 401
            assert wrong.status_code == 401
            assert missing.headers["WWW-Authenticate"] == "Bearer"
