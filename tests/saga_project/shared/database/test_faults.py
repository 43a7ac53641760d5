"""Deadlocks and serialization failures are retried once; a server that takes no writes is 503, never 500."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from registry import operations, presence
from registry.background import expiry, flush, missed_heartbeats
from registry.models import Event, Instance, Service
from saga_project.shared.api import JSONRenderer
from saga_project.shared.database import watch
from tests import waiting
from tests.saga_project.shared.database.test_gone import NEEDS_THE_DATABASE, SCAICONTROLS, token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
__all__ = ["token"]

HEARTBEAT = "/api/v1/services/pay/heartbeat"
_FAIL = """
CREATE SEQUENCE fault_count;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('fault_count') <= {count} THEN
    RAISE EXCEPTION 'made by a test' USING ERRCODE = '{state}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON registry_service FOR EACH ROW EXECUTE FUNCTION fail();
"""
_STOP = "DROP TRIGGER fail ON registry_service; DROP FUNCTION fail; DROP SEQUENCE fault_count;"


@pytest.fixture
def api() -> APIClient:
    return APIClient(SERVER_NAME="localhost", raise_request_exception=False)


@contextlib.contextmanager
def failing(state: str, *, count: int) -> Iterator[None]:
    """Make PostgreSQL end the next ``count`` transactions that change a service with this error."""
    with connection.cursor() as cursor:
        cursor.execute(_FAIL.format(count=count, state=state))
        try:
            yield
        finally:
            cursor.execute(_STOP)


def register(name: str) -> None:
    registration = operations.Registration(service_name=name, url="http://localhost:1")
    operations.register(registration, by=None, now=timezone.now())


# --- Conflicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["40P01", "40001"])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
def test_a_conflict_is_retried_once(api: APIClient, state: str, headers: dict[str, str]) -> None:
    register("pay")
    body = {"service_name": "pay", "status": "degraded"}

    with failing(state, count=1):
        answer = api.post("/api/v1/webhooks/health", body, format="json", headers=headers)

    assert answer.status_code == 200
    assert Event.objects.filter(type="health.changed").count() == 1


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_second_conflict_is_unavailable(api: APIClient, state: str) -> None:
    register("pay")

    with failing(state, count=9):
        answer = api.post(HEARTBEAT, {"status": "warning"}, format="json")

    assert answer.status_code == 503
    assert answer.json()["error"] == "Database is not available"
    assert answer["Retry-After"] == "1"
    assert not Event.objects.filter(type="health.changed").exists()


# --- Lock order -----------------------------------------------------------------------------------


def is_in_the_way() -> bool:
    """Whether another connection waits for a lock that this transaction holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


def closing(work: Any) -> Any:
    try:
        return work()
    finally:
        connection.close()


def test_the_flush_locks_services_before_their_instances() -> None:
    register("pay")
    presence.renew(["pay/default"])

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Service.objects.select_for_update().get(name="pay")
        flushing = pool.submit(closing, flush.flush_heartbeats)
        waiting.until(is_in_the_way)
        Instance.objects.filter(service__name="pay").update(note="changed meanwhile")
    flushed = flushing.result(10)

    assert flushed == 1
    assert Instance.objects.get().note == "changed meanwhile"


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_writers_that_compete_for_the_same_services_never_deadlock() -> None:
    names = [f"s-{number}" for number in range(6)]
    for name in names:
        register(name)
    before, barrier = deadlocks(), threading.Barrier(4)

    def beat() -> None:
        for turn in range(15):
            heartbeats = [
                operations.Heartbeat(service_name=name, health=("warning", "passing")[turn % 2])
                for name in reversed(names)
            ]
            operations.renew_many(heartbeats, by=None, now=timezone.now())

    def flush_all() -> None:
        for _ in range(30):
            presence.renew([f"{name}/default" for name in names])
            flush.flush_heartbeats()

    def evaluate() -> None:
        for _ in range(20):
            Service.objects.filter(name=names[0]).update(last_heartbeat_at=None)
            missed_heartbeats.count_misses()
            expiry.sweep()

    def begin(work: Any) -> None:
        barrier.wait()
        work()

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(closing, lambda work=work: begin(work))
            for work in (beat, flush_all, beat, evaluate)
        ]
        for job in jobs:
            job.result(60)

    assert deadlocks() == before


# --- A server that takes no writes ----------------------------------------------------------------


@pytest.fixture
def read_only(api: APIClient) -> Iterator[None]:
    register("pay")
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        yield
        cursor.execute("SET default_transaction_read_only = off")


WRITES = [
    each for each in NEEDS_THE_DATABASE if each[0] != "GET" and "check-updates" not in each[1]
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
def test_writes_to_a_read_only_server_are_unavailable(
    api: APIClient,
    read_only: None,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    headers: dict[str, str],
) -> None:
    answer = api.generic(
        method, path, "" if body is None else _json(body), "application/json", headers=headers
    )

    assert answer.status_code == 503, answer.content
    assert answer.json()["error"] == "Database is not available"
    assert answer["Retry-After"] == "1"


@pytest.mark.parametrize(("method", "path", "body"), SCAICONTROLS[:3])
def test_writes_in_the_other_dialect_are_unavailable(
    api: APIClient, token: str, read_only: None, method: str, path: str, body: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    answer = api.generic(method, path, _json(body), "application/json", headers=headers)

    assert answer.status_code == 503, answer.content
    assert answer.json()["error"]["code"] == "unavailable"
    assert answer["Retry-After"] == "1"


def test_lookups_go_on_over_a_read_only_server(api: APIClient, read_only: None) -> None:
    assert api.get("/api/v1/services/pay").status_code == 200
    assert api.post(HEARTBEAT).status_code == 200


def test_a_connection_to_a_server_that_became_read_only_is_not_used_again(read_only: None) -> None:
    assert not connection.is_usable()


def test_the_watch_sees_a_server_become_read_only_and_recover() -> None:
    reported: list[str] = []
    name = connection.settings_dict["NAME"]
    watching = watch.DatabaseWatch(
        connection.get_connection_params(), silenced=lambda: reported.append("x")
    )
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        try:
            watching.start()
            waiting.until(watch.is_read_only)
        finally:
            cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    waiting.until(lambda: not watch.is_read_only())
    watching.stop()

    assert reported == ["x"]


def _json(body: Any) -> str:
    return JSONRenderer().render(body).decode()
