"""One deployment of some of the cases of the crash matrix; ``bench/faults`` has all, and more rounds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.updates.rollouts import crash_installers, crash_strategies, scenes
from tests.updates.rollouts.crash_cases import CrashCase

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (crash_strategies.HooksCase, "bad-1"),
        (crash_strategies.SlotsCase, "good-1"),
        (crash_installers.SystemdCase, "good-1"),
        (crash_installers.ContainerCase, "bad-1"),
    ],
)
def test_a_worker_killed_in_each_step_leaves_the_right_version(
    tmp_path: Path, settings: Settings, scene: scenes.Scene, kind: type[CrashCase], version: str
) -> None:
    settings.SAGA_RESTART_COMMANDS = {**crash_strategies.COMMANDS, **crash_installers.COMMANDS}
    with crash_installers.programs(scene.folder):
        case = kind(scene, "shop")
        before = case.install("good-0")
        job = case.ask(version)

        steps = list(case.kill_in_each_step(job, before=before, start=0, chance=random.Random(1)))

        assert len(steps) >= 8
        case.check(job, before=before, is_good=version == "good-1")
