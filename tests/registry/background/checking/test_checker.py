"""A checker at work: real calls, real rows, and another one that takes over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from registry import operations
from registry.background.checking import calls, sharing
from registry.background.checking.checker import ServiceChecker
from registry.background.checking.probe import CallResult, Definition
from registry.models import CheckedInstance, CheckVerdict, HealthCheck, Instance, Service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def check(redis: object) -> HealthCheck:
    registration = operations.Registration(
        service_name="pay",
        url="http://127.0.0.1:9/",
        health_check_url="http://127.0.0.1:9/up",
        ttl_seconds=3600,
    )
    operations.register(registration, by=None, now=timezone.now())
    return HealthCheck.objects.create(
        service=Service.objects.get(),
        interval_seconds=1,
        failures_before_critical=2,
        successes_before_passing=1,
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[CallResult], None]]:
    """Set what calls find, instead of making them."""
    found = [CallResult(is_well=True)]

    async def make(_definition: Definition, **_: object) -> CallResult:
        return found[0]

    monkeypatch.setattr(calls, "make", make)
    yield lambda result: found.__setitem__(0, result)
    connections.close_all()


Step = tuple[Callable[[], None], Callable[[], bool]]


def run(*steps: Step, checkers: int = 1) -> list[ServiceChecker]:
    """Run checkers: each step acts, then waits until its condition holds."""

    async def play() -> list[ServiceChecker]:
        made = [
            ServiceChecker(sharing.CheckerLease(node="local"), max_files=1000)
            for _ in range(checkers)
        ]
        tasks = [asyncio.create_task(each.run()) for each in made]
        try:
            async with asyncio.timeout(120):
                for act, holds in steps:
                    await asyncio.to_thread(_alone, act)
                    while not await asyncio.to_thread(_alone, holds):
                        await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in made:
                await each._leave()
        return made

    return asyncio.run(play())


def _alone(call: Callable[[], object]) -> object:
    """Call in a thread that keeps no connection to PostgreSQL."""
    try:
        return call()
    finally:
        connections.close_all()


def is_health(health: str) -> Callable[[], bool]:
    return lambda: Instance.objects.get().combined_health == health


def is_verdict(verdict: str) -> Callable[[], bool]:
    return lambda: CheckedInstance.objects.filter(verdict=verdict).exists()


def nothing() -> None:
    return


def test_checker_makes_an_instance_critical_and_restores_it(
    check: HealthCheck, answer: Callable[[CallResult], None]
) -> None:
    failed = CallResult(is_well=False, reason="The answer was 503, not 200-299.")
    run(
        (nothing, is_verdict(CheckVerdict.PASSING)),
        (lambda: answer(failed), is_health("critical")),
        (lambda: answer(CallResult(is_well=True)), is_health("passing")),
    )

    reasons = check.transitions.order_by("pk").values_list("old", "new", "reason")
    assert list(reasons) == [
        ("unknown", "passing", ""),
        ("passing", "critical", failed.reason),
        ("critical", "passing", ""),
    ]
    assert Instance.objects.get().state == Instance.State.LIVE


@pytest.mark.usefixtures("check")
def test_failure_during_which_the_process_stood_still_counts_for_nothing(
    answer: Callable[[CallResult], None],
) -> None:
    checker = ServiceChecker(sharing.CheckerLease(node="local"), max_files=1000)
    checker.lease.renew()
    [probe] = sharing.load(checker.lease, checker.lease.signature()[1]).values()
    answer(CallResult(is_well=False, reason="no answer in time"))

    async def make(*, has_stalled: bool) -> int:
        loop = asyncio.get_running_loop()
        checker._stalled_at = loop.time() + 1 if has_stalled else 0.0
        await checker._make(probe)
        return probe.failures

    assert asyncio.run(make(has_stalled=True)) == 0
    assert asyncio.run(make(has_stalled=False)) == 1


@pytest.mark.usefixtures("answer")
def test_verdict_waits_for_a_database_that_does_not_answer(
    check: HealthCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django import db  # noqa: PLC0415

    from registry.operations import check_results  # noqa: PLC0415

    record, refused = check_results.record, [0]

    def unsteady(*args: object, **options: object) -> None:
        if refused[0] < 2:
            refused[0] += 1
            raise db.OperationalError("gone")
        record(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(check_results, "record", unsteady)
    run((nothing, is_verdict(CheckVerdict.PASSING)))

    assert refused == [2]
    assert check.transitions.count() == 1


def test_real_call_reads_status_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SAGA_ALLOWED_NETWORKS", ["127.0.0.0/8"])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"checks": [{"state": "up"}], "ready": true}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask(**given: object) -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        check = HealthCheck(url=f"http://127.0.0.1:{port}/", **given)
        found = await calls.make(sharing._definition(check, check.url))
        server.close()
        return found.reason

    def reason(**given: object) -> str:
        return asyncio.run(ask(**given))

    assert reason() == ""
    assert reason(json_pointer="/checks/0/state", json_value="up") == ""
    assert reason(json_pointer="/ready", json_value=True) == ""
    assert "another value" in reason(json_pointer="/ready", json_value=1)
    assert "nothing at" in reason(json_pointer="/checks/1")
    assert reason(expected_status="204,500-599").startswith("The answer was 200")
