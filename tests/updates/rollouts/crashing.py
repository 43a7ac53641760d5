"""Workers that die at a chosen moment, and what must be true whenever they do.

A moment is a change of the file system, the start of a command, or a query, before or after it: whatever can
be seen from outside happens between two of them. The worker is a forked child that kills itself with SIGKILL.
"""

from __future__ import annotations

import enum
import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celery
from django import db
from django.db import connection

from updates.artifacts.installers import manifests
from updates.models import HistoryEntry, Job, Step, Target
from updates.rollouts import leases, recovery, runner, steps
from updates.step_context import Outcome

CHANGES = {"os.rename", "os.symlink", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
CALLS = {"subprocess.Popen"}
MAX_LIVES = 40


class Stuck(AssertionError):
    """The job does not end, however many workers take it."""


class TooLate(AssertionError):
    """The worker was done before the moment came."""


class Boundary(enum.Enum):
    """Where a step can be cut off from its journal."""

    BEGUN = "journaled as begun, not done"
    AMIDST = "at one of the moments after it was journaled as begun"
    DONE = "done, not journaled"
    ENDED = "journaled as ended, the next not begun"


def run_in_child(work: Callable[[], None]) -> int:
    """Return the number of the signal that ended it, 0 if none did."""
    _, status = os.waitpid(_fork(work), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed; see above"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _fork(work: Callable[[], None]) -> int:
    db.connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the parent serves HTTP in a thread
        pid = os.fork()
    if pid == 0:
        celery.current_app._after_fork()  # type: ignore[attr-defined]  # the broker's connection is the parent's
        _live_and_leave(work)
    return pid


def _live_and_leave(work: Callable[[], None]) -> None:
    try:
        work()
        db.connections.close_all()
        os._exit(0)
    except BaseException:  # noqa: BLE001 (a forked child must never come back)
        traceback.print_exc()
        os._exit(1)


def in_a_transaction_of_its_own(act: Callable[[], object]) -> None:
    """Act from a thread that serves HTTP, and leave no connection behind."""
    try:
        act()
    finally:
        db.connections.close_all()


@contextmanager
def _moments(tick: Callable[[], None]) -> Iterator[None]:
    """Call ``tick`` at each moment of this process; its audit hook stays, so use it in a child only."""

    def see(event: str, args: tuple[Any, ...]) -> None:
        is_written = event == "open" and isinstance(args[1], str) and set("wax+") & set(args[1])
        if event in CHANGES | CALLS or is_written:
            tick()

    def query(execute: Callable[..., Any], *args: Any) -> Any:
        tick()
        result = execute(*args)
        tick()
        return result

    sys.addaudithook(see)
    with connection.execute_wrapper(query):
        yield


def count_moments(job: Job) -> int:
    """Run the job to where it waits or ends; return how many moments that had."""
    reader, writer = os.pipe()
    seen = 0

    def tick() -> None:
        nonlocal seen
        seen += 1

    def work() -> None:
        with _moments(tick):
            runner.run(job.pk, node="local")
        os.write(writer, str(seen).encode())

    run_in_child(work)
    os.close(writer)
    with os.fdopen(reader) as file:
        return int(file.read())


def start_and_freeze(job: Job, *, moment: int) -> int:
    """Start a worker that stops itself (SIGSTOP) at a moment without a transaction; return its process id."""
    left = moment

    def tick() -> None:
        nonlocal left
        if connection.in_atomic_block:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)

    def work() -> None:
        with _moments(tick):
            runner.run(job.pk, node="local")

    pid = _fork(work)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise TooLate
    return pid


@contextmanager
def frozen(job: Job, *, moment: int) -> Iterator[None]:
    """Freeze a worker at the moment; after the block it wakes up and does what it still may."""
    pid = start_and_freeze(job, moment=moment)
    try:
        yield
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise


def everything_that_counts(job: Job, folder: Path) -> tuple[Any, ...]:
    rows = [
        list(model.objects.order_by("pk").values()) for model in (Job, Step, HistoryEntry, Target)
    ]
    files = [
        (str(path), path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    ]
    return rows, files


def run_on_a_full_disk(job: Job, *, writes: int) -> Job:
    """Work on the job while the disk takes so many more files and folders, and then none."""
    left = writes

    def see(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        left -= _takes_space(event, args)
        if left < 0 and _takes_space(event, args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def work() -> None:
        sys.addaudithook(see)
        runner.run(job.pk, node="local")

    run_in_child(work)
    job.refresh_from_db()
    return job


def _takes_space(event: str, args: tuple[Any, ...]) -> bool:
    """A file with something in it, or a new folder; names, links and empty files find room on any disk."""
    if event == "os.mkdir":
        return not Path(args[0]).exists()
    is_written = event == "open" and isinstance(args[1], str) and set("wx+") & set(args[1])
    return bool(is_written)


def run_until(job: Job, moment: int) -> bool:
    """Work on the job until the given moment, then die; False if it was over before."""
    left = moment

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with _moments(tick):
            runner.run(job.pk, node="local")

    return run_in_child(work) == signal.SIGKILL


def run_into_step(job: Job, boundary: Boundary, *, after: int, moment: int = 1) -> bool:
    """Work, through pauses, to a boundary of the first step past a position; die. False if there is none."""
    return any(_die_at(job, boundary, after, moment) for _ in _lives(job))


def _die_at(job: Job, boundary: Boundary, after: int, moment: int) -> bool:
    """Of a step, ``moment`` counts the moments from its begin; they may go on in the next steps."""

    def work() -> None:
        has_ended, left = False, -1

        def tick() -> None:
            nonlocal left
            left -= left > 0
            _die_if(left == 0)

        def perform(step_run: steps.StepRun) -> Outcome:
            nonlocal has_ended, left
            if step_run.step.position <= after:
                return do(step_run)
            _die_if(boundary is Boundary.BEGUN)
            if boundary is Boundary.AMIDST:
                left = moment if left < 0 else left
                return do(step_run)
            try:
                return do(step_run)
            finally:
                _die_if(boundary is Boundary.DONE)
                has_ended = True

        def advance(lease: leases.Lease, *, node: str) -> bool:
            _die_if(has_ended)
            return go_on(lease, node=node)

        do, go_on = steps.perform, runner._advance
        steps.perform, runner._advance = perform, advance
        with _moments(tick):
            runner.run(job.pk, node="local")

    return run_in_child(work) == signal.SIGKILL


def _die_if(is_time: bool) -> None:
    if is_time:
        os.kill(os.getpid(), signal.SIGKILL)


def steps_performed(job: Job) -> list[int]:
    """Return the positions of the steps that have begun, in their order."""
    begun = job.steps.filter(runs__gt=0).order_by("position")
    return list(begun.values_list("position", flat=True))


def bring_to_an_end(job: Job) -> Job:
    """Sweep and work, as beat and a healthy worker do, until nothing is left to do."""
    for _ in _lives(job):
        run_in_child(lambda: runner.run(job.pk, node="local"))
    return job


def _lives(job: Job) -> Iterator[int]:
    """Count the workers that a job needs: before each of them the sweep ends its pause, or frees it."""
    for life in range(MAX_LIVES):
        job.refresh_from_db()
        if job.status not in Job.LIVE:
            return
        Job.objects.filter(pk=job.pk, status=Job.Status.PAUSED).update(resume_at=job.created_at)
        leases.free_the_dead()
        recovery.sweep()
        yield life
    raise Stuck(f"stuck: {job.status}, {job.error}")


def current(root: Path) -> str | None:
    link = root / "current"
    return link.readlink().name if link.is_symlink() else None


def check_current_is_whole(target: Target, *, allowed: set[str]) -> None:
    """``current`` is there, and each file of the release that it names is as its manifest says."""
    root = Path(target.install_root)
    version = current(root)
    assert version in allowed, f"{target.name} has {version}"
    fault = manifests.fault(
        manifests.read(root / "manifests" / f"{version}.json"), root / "current", lambda: None
    )
    assert fault is None, f"{target.name}: {fault}"


def check_end(job: Job, targets: list[Target], *, status: str, version: str) -> None:
    assert job.status == status, f"{job.status}: {job.error}"
    for target in targets:
        check_current_is_whole(target, allowed={version})
        leftovers = [
            path
            for path in Path(target.install_root).rglob(".*")
            if path.name.startswith((".part", ".trash"))
        ]
        assert not leftovers
    assert HistoryEntry.objects.filter(job_id=job.job_id).count() == 1
