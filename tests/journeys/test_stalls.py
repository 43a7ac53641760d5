"""A stall of Redis stops neither sweeps nor deliveries, and no process ends of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer

from tests import stack as stacks
from tests import stalls

STALLS: list[Callable[[stalls.Work], None]] = [stalls.pause, stalls.freeze]


@pytest.mark.xdist_group("stack")
def test_stalls_of_redis_stop_nothing(httpserver: HTTPServer) -> None:
    with stacks.running(SAGA_WEB_PROCESSES="1") as stack:
        work = stalls.Work(stack, httpserver)
        with work.going_on():
            stalls.recover(work, lambda _: None)
            before = stalls.workers(stack)

            for stall in STALLS * 3:
                stalls.recover(work, stall)

        assert stalls.workers(stack) == before
