"""Gathered heartbeats: one that goes wrong must not silence the others."""

from __future__ import annotations

import asyncio

from registry import presence
from registry.fast import heartbeat_batcher
from saga_project.shared import errors

Callback = list[int] | errors.Unavailable


class Renewal:
    """Answers 1 for each member in the next turn, after it raised the failure that the test ordered."""

    def __init__(self, *failures: errors.Unavailable) -> None:
        self._failures = list(failures)
        self.calls: list[list[str]] = []

    def renew(self, members: list[str], callback: presence.Callback) -> None:
        self.calls.append(members)
        answer = self._failures.pop() if self._failures else [1] * len(members)
        asyncio.get_running_loop().call_soon(callback, answer)


def batcher_over(renewal: Renewal) -> heartbeat_batcher.HeartbeatBatcher:
    batcher = heartbeat_batcher.HeartbeatBatcher()
    batcher._renewal = renewal  # type: ignore[assignment]
    return batcher


async def times_of(batcher: heartbeat_batcher.HeartbeatBatcher, member: str) -> Callback:
    future: asyncio.Future[Callback] = asyncio.get_running_loop().create_future()
    batcher.renew([member], future.set_result)
    async with asyncio.timeout(10):
        return await future


def test_failed_batch_is_answered_and_the_next_one_is_sent() -> None:
    async def send() -> list[Callback]:
        batcher = batcher_over(Renewal(errors.RedisUnavailable()))
        return [await times_of(batcher, "a/x"), await times_of(batcher, "a/x")]

    first, second = asyncio.run(send())

    assert isinstance(first, errors.Unavailable)
    assert second == [1]


def test_concurrent_heartbeats_share_a_batch_and_get_their_own_answers() -> None:
    renewal = Renewal()

    async def send() -> list[Callback]:
        batcher = batcher_over(renewal)
        return await asyncio.gather(*(times_of(batcher, f"a/{number}") for number in range(20)))

    assert asyncio.run(send()) == [[1]] * 20
    assert renewal.calls == [[f"a/{number}" for number in range(20)]]


def test_one_call_carries_so_many_members_at_most() -> None:
    renewal = Renewal()
    members = [f"a/{number}" for number in range(heartbeat_batcher.MAX_MEMBERS - 1)]

    async def send() -> None:
        batcher = batcher_over(renewal)
        for _ in range(3):
            batcher.renew(members, lambda _: None)
        await times_of(batcher, "b/x")

    asyncio.run(send())

    assert [len(call) for call in renewal.calls] == [len(members), len(members), len(members) + 1]


def test_failing_callback_does_not_delay_the_others() -> None:
    def broken(callback: Callback) -> None:
        raise RuntimeError("the connection is in no state for this")

    async def send() -> Callback:
        batcher = batcher_over(Renewal())
        batcher.renew(["a/x"], broken)
        return await times_of(batcher, "b/x")

    assert asyncio.run(send()) == [1]
