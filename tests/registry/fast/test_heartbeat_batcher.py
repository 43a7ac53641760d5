"""Gathered heartbeats: one that goes wrong must not silence the others."""

from __future__ import annotations

import asyncio

from registry import presence
from registry.fast import heartbeat_batcher
from saga_project.shared import errors

Callback = list[int] | errors.Unavailable


class Renewal:
    """Answers 1 for each member in the next turn, after it has said of what it was told to fail of."""

    def __init__(self, *failures: errors.Unavailable) -> None:
        self._failures = list(failures)
        self.calls: list[list[str]] = []

    def renew(self, members: list[str], told: presence.Callback) -> None:
        self.calls.append(members)
        answer = self._failures.pop() if self._failures else [1] * len(members)
        asyncio.get_running_loop().call_soon(told, answer)


def beating(renewal: Renewal) -> heartbeat_batcher.HeartbeatBatcher:
    beats = heartbeat_batcher.HeartbeatBatcher()
    beats._renewal = renewal  # type: ignore[assignment]
    return beats


async def told_of(beats: heartbeat_batcher.HeartbeatBatcher, member: str) -> Callback:
    future: asyncio.Future[Callback] = asyncio.get_running_loop().create_future()
    beats.beat([member], future.set_result)
    async with asyncio.timeout(10):
        return await future


def test_failed_batch_is_answered_and_the_next_one_is_sent() -> None:
    async def beat() -> list[Callback]:
        beats = beating(Renewal(errors.RedisUnavailable()))
        return [await told_of(beats, "a/x"), await told_of(beats, "a/x")]

    first, second = asyncio.run(beat())

    assert isinstance(first, errors.Unavailable)
    assert second == [1]


def test_concurrent_heartbeats_share_a_batch_and_get_their_own_answers() -> None:
    renewal = Renewal()

    async def beat() -> list[Callback]:
        beats = beating(renewal)
        return await asyncio.gather(*(told_of(beats, f"a/{number}") for number in range(20)))

    assert asyncio.run(beat()) == [[1]] * 20
    assert renewal.calls == [[f"a/{number}" for number in range(20)]]


def test_one_call_carries_so_many_members_at_most() -> None:
    renewal = Renewal()
    members = [f"a/{number}" for number in range(heartbeat_batcher.MAX_MEMBERS - 1)]

    async def beat() -> None:
        beats = beating(renewal)
        for _ in range(3):
            beats.beat(members, lambda _: None)
        await told_of(beats, "b/x")

    asyncio.run(beat())

    assert [len(call) for call in renewal.calls] == [len(members), len(members), len(members) + 1]


def test_failing_callback_does_not_delay_the_others() -> None:
    def broken(told: Callback) -> None:
        raise RuntimeError("the connection is in no state for this")

    async def beat() -> Callback:
        beats = beating(Renewal())
        beats.beat(["a/x"], broken)
        return await told_of(beats, "b/x")

    assert asyncio.run(beat()) == [1]
