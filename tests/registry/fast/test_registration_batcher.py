"""Batched registrations: one transaction for many, and one that fails delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection

from registry import operations
from registry.fast import registration_batcher
from registry.models import Service
from registry.operations import NewRegistration, Registered, Registration
from saga_project.shared import errors
from tests import waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

Register = Callable[..., list[registration_batcher.Answer]]


@pytest.fixture
def register(loop: asyncio.AbstractEventLoop) -> Iterator[Register]:
    """Registers names that come together, and waits for the answer of each."""
    door = registration_batcher.RegistrationBatcher()

    async def let_in(names: Sequence[str]) -> list[registration_batcher.Answer]:
        reported: list[asyncio.Future[registration_batcher.Answer]] = [
            loop.create_future() for _ in names
        ]
        for name, future in zip(names, reported, strict=True):
            door.register(new_registration(name), future.set_result)
        async with asyncio.timeout(30):
            return await asyncio.gather(*reported)

    yield lambda *names: loop.run_until_complete(let_in(names))
    loop.run_until_complete(door.close())


def new_registration(name: str) -> NewRegistration:
    return NewRegistration(Registration(service_name=name, url="http://localhost:1"), None)


def backends() -> list[int]:
    """Return the connections with a last statement that inserted registrations."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE '%%WITH taken AS%%'"
        )
        return [pid for (pid,) in cursor.fetchall()]


def test_concurrent_registrations_share_a_batch(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    let_in = operations.register_new

    def counted(
        new_registrations: Sequence[NewRegistration], **options: Any
    ) -> list[Registered | None]:
        batches.append(len(new_registrations))
        return let_in(new_registrations, **options)

    monkeypatch.setattr(operations, "register_new", counted)
    names = [f"new-{number}" for number in range(30)]

    answers = register(*names)

    assert [answer.service_name for answer in answers if isinstance(answer, Registered)] == names
    assert batches == [30]


def test_failing_callback_does_not_delay_the_others() -> None:
    async def let_in() -> registration_batcher.Answer:
        door = registration_batcher.RegistrationBatcher()
        reported: asyncio.Future[registration_batcher.Answer] = (
            asyncio.get_running_loop().create_future()
        )
        door.register(new_registration("a"), broken)
        door.register(new_registration("b"), reported.set_result)
        async with asyncio.timeout(30):
            answer = await reported
        await door.close()
        return answer

    def broken(answer: registration_batcher.Answer) -> None:
        raise RuntimeError("the connection is in no state for this")

    assert isinstance(asyncio.run(let_in()), Registered)


def test_connection_is_kept_for_the_next_batch(register: Register) -> None:
    register("a")
    first = backends()

    register("b")

    assert len(first) == 1
    assert backends() == first


def test_idle_connection_is_given_back(
    register: Register, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_batcher, "KEEP_SECONDS", 0.01)

    register("a")

    def is_given_back() -> bool:
        loop.run_until_complete(asyncio.sleep(0))  # a turn, for its timer
        return not backends()

    waiting.until(is_given_back)
    assert isinstance(register("b")[0], Registered)


def test_a_connection_that_broke_is_reported_once(register: Register) -> None:
    register("a")
    [backend] = backends()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

    [refused] = register("b")
    [let_in] = register("c")

    assert isinstance(refused, errors.DatabaseUnavailable)
    assert isinstance(let_in, Registered)
    assert set(Service.objects.values_list("name", flat=True)) == {"a", "c"}
