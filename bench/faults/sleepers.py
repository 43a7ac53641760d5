"""Workers that freeze, are overtaken, and wake up: what they still do."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.updates.rollouts import crashing, scenes
from updates import operations
from updates.models import Job
from updates.rollouts import leases

SLEEP_SECONDS = 1.1
#: A worker that freezes with the lock of an install root delays the next worker for so long.
OPTIONS = {"max_unavailable": 1, "progress_deadline_seconds": 2}


def freeze_at_each_moment(folder: Path, *, every: int) -> list[str]:
    faults: list[str] = []
    woken = 0
    with scenes.opened(folder) as scene, _short_leases():
        for moment in itertools.count(1, every):
            try:
                faults += _freeze_at(scene, moment)
            except crashing.TooLate:
                break
            woken += 1
            print(f"\r{woken} workers woken, {len(faults)} faults", end="", flush=True)
    print()
    for fault in faults:
        print(f"  {fault}")
    return faults


@contextmanager
def _short_leases() -> Iterator[None]:
    with mock.patch.multiple(
        leases,
        LEASE=dt.timedelta(seconds=1),
        RENEWED_EVERY_SECONDS=0.25,
        WATCHED_EVERY_SECONDS=0.1,
    ):
        yield


def _freeze_at(scene: scenes.Scene, moment: int) -> list[str]:
    """Return what the worker changed after it woke, in the database, on disk, or by a restart."""
    restarts: list[str] = []
    scene.on_restart = restarts.append
    service = scene.add_service(f"frozen-{moment}", targets=2)
    crashing.bring_to_an_end(scene.deploy(service, "1"))
    job = operations.deploy(service, scene.announce("2"), by="ci", options=OPTIONS)
    with crashing.frozen(job, moment=moment):
        time.sleep(SLEEP_SECONDS)
        crashing.bring_to_an_end(job)
        before = (*crashing.everything_that_counts(job, scene.folder), len(restarts))
    for target in service.targets.all():
        crashing.check_current_is_whole(target, allowed={"1", "2"})
    after = (*crashing.everything_that_counts(job, scene.folder), len(restarts))
    names = ("rows", "files", "restarts")
    changed = [name for name, old, new in zip(names, before, after, strict=True) if old != new]
    end = Job.objects.get(pk=job.pk).status
    return [f"moment {moment} ({end}): {', '.join(changed)} changed"] if changed else []
