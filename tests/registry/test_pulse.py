"""Gathered heartbeats: one that goes wrong must not silence the others."""

from __future__ import annotations

import asyncio

import pytest

from registry import pulse
from saga_project import errors

Told = list[int] | errors.Unavailable


class Renewal:
    """Answers 1 for each member, after it has failed as often as it was told to."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    async def renew(self, members: list[str]) -> list[int]:
        await asyncio.sleep(0)
        if self._failures:
            raise self._failures.pop()
        return [1] * len(members)


def beating(renewal: Renewal) -> pulse.Pulse:
    beats = pulse.Pulse()
    beats._renewal = renewal  # type: ignore[assignment]
    return beats


async def told_of(beats: pulse.Pulse, member: str) -> Told:
    future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
    beats.beat([member], future.set_result)
    async with asyncio.timeout(10):
        return await future


@pytest.mark.parametrize("failure", [RuntimeError("unforeseen"), errors.RedisUnavailable()])
def test_a_beat_that_fails_is_answered_and_the_next_one_beats(failure: Exception) -> None:
    async def beat() -> list[Told]:
        beats = beating(Renewal(failure))
        return [await told_of(beats, "a/x"), await told_of(beats, "a/x")]

    first, second = asyncio.run(beat())

    assert isinstance(first, errors.Unavailable)
    assert second == [1]


def test_an_answer_that_cannot_be_given_holds_up_nobody() -> None:
    def broken(told: Told) -> None:
        raise RuntimeError("the connection is in no state for this")

    async def beat() -> Told:
        beats = beating(Renewal())
        beats.beat(["a/x"], broken)
        return await told_of(beats, "b/x")

    assert asyncio.run(beat()) == [1]
