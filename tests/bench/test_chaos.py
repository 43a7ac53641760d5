"""A short campaign on one host, and what the stack costs meanwhile: the commands of the documents work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import idle
from bench.faults import chaos, clocked_stack, soak
from bench.faults import history as histories
from tests import stack as stacks

pytestmark = pytest.mark.xdist_group("stack")

FAULTS = ("kill -9 sweeps", "SIGSTOP beat", "kill -9 web")
CLOCK_FAULTS = ("clock of Redis forward", "clock of Redis back")


@pytest.fixture(scope="module")
def clock() -> Iterator[Path | None]:
    with clocked_stack.clock() as file:
        yield file


@pytest.fixture(scope="module")
def stack(clock: Path | None) -> Iterator[stacks.Stack]:
    variables = {**clocked_stack.variables(clock), "SAGA_WEB_PROCESSES": "1"}
    with stacks.running(clocked_stack.__name__, **variables) as running:
        yield running


def test_a_campaign_of_a_few_faults_breaks_no_promise(
    stack: stacks.Stack, clock: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos, "FREEZE_SECONDS", (1.0, 2.0))
    with closing(histories.Receiver()) as receiver:
        history = histories.History(stack, receiver)
        campaign = chaos.Campaign(stack, history, seed=1, clock=clock)
        history.begin()
        for number, name in enumerate(FAULTS + (CLOCK_FAULTS if clock else ())):
            campaign.inject(name, number=number)
        found = history.check()
        history.end()

    assert found == []
    assert history.acknowledged


def test_the_cost_of_a_stack_is_reported_by_program(
    stack: stacks.Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    idle.report(stack, seconds=0.5)

    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    expected = "beat checks delivery launcher postgresql sweeps valkey web worker all"
    assert names == expected.split()


def test_a_soak_measures_memory_descriptors_and_connections(stack: stacks.Stack) -> None:
    sample = soak.measure(stack)

    assert sample.memory_bytes > 0
    assert sample.descriptors > 0
    assert sample.database_connections > 0
    assert sample.redis_connections > 0
