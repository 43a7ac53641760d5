"""What people may do to a job, done during every step of every strategy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from tests.updates.rollouts.conftest import run
from updates import operations
from updates.models import Job, Step
from updates.rollouts import steps
from updates.rollouts.strategies import Action
from updates.step_context import Outcome

Act = Callable[[Step], object]


@pytest.fixture
def during_each_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    """Run an action on a connection of its own while a worker executes a step."""
    do = steps.perform

    def arrange(act: Act) -> None:
        def perform(step_run: steps.StepRun) -> Outcome:
            somebody = threading.Thread(
                target=crashing.in_a_transaction_of_its_own, args=[lambda: act(step_run.step)]
            )
            somebody.start()
            somebody.join()
            return do(step_run)

        monkeypatch.setattr(steps, "perform", perform)

    return arrange


def plan_of(job: Job) -> list[str]:
    return list(job.steps.order_by("position").values_list("name", flat=True))


def bring_to_an_end(job: Job) -> int:
    """Work on the job, and resume it wherever it waits; return how often it waited."""
    waits = 0
    while run(job).status == Job.Status.PAUSED:
        operations.resume(job.job_id, by="anna")
        waits += 1
    return waits


def abort_at(position: int, job: Job, step: Step) -> None:
    if step.position == position:
        operations.abort(job.job_id, by="anna")


def versions(shop: Service) -> set[str | None]:
    return {crashing.current(Path(target.install_root)) for target in shop.targets.all()}


@pytest.mark.parametrize("strategy", scenes.OPTIONS)
def test_an_abort_ends_all_old(
    scene: scenes.Scene,
    shop: Service,
    strategy: str,
    during_each_step: Callable[[Act], None],
) -> None:
    job = scene.deploy(shop, "2.0.0", strategy=strategy)
    plan = plan_of(job)
    bring_to_an_end(job)

    for position in range(len(plan)):
        job = scene.deploy(shop, f"3.0.{position}", strategy=strategy)
        during_each_step(partial(abort_at, position, job))
        bring_to_an_end(job)

        is_switched = Action.SWITCH in plan[: position + 1]
        assert job.status == ("rolled_back" if is_switched else "cancelled"), plan[position]
        assert versions(shop) == {"2.0.0"}
        shop.refresh_from_db()
        assert shop.canary_percent is None


@pytest.mark.parametrize("strategy", scenes.OPTIONS)
def test_a_full_promotion_ends_all_new_and_waits_for_nothing(
    scene: scenes.Scene,
    shop: Service,
    strategy: str,
    during_each_step: Callable[[Act], None],
) -> None:
    job = scene.deploy(shop, "2.0.0", strategy=strategy)
    during_each_step(lambda _step: operations.promote(job.job_id, by="anna", is_fully=True))

    waits = bring_to_an_end(job)

    assert (job.status, versions(shop), waits) == ("succeeded", {"2.0.0"}, 0)


@pytest.mark.parametrize("strategy", scenes.OPTIONS)
def test_a_pause_waits_for_the_step_and_no_other_begins(
    scene: scenes.Scene,
    shop: Service,
    strategy: str,
    during_each_step: Callable[[Act], None],
) -> None:
    job = scene.deploy(shop, "2.0.0", strategy=strategy)
    during_each_step(lambda _step: operations.pause(job.job_id, by="anna"))

    ended = []
    while run(job).status == Job.Status.PAUSED:
        if job.pause_reason == "Paused by anna":
            ended.append(job.steps.filter(status__in=Step.ENDED).count())
        operations.resume(job.job_id, by="anna")

    assert (job.status, versions(shop)) == ("succeeded", {"2.0.0"})
    assert ended == list(range(1, len(plan_of(job)) + 1))
