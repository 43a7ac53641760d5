"""Programs as forks of one process that has loaded Saga's code: they start at once and share its memory.

Linux only: elsewhere, and where traces are sent (their threads do not outlive a fork), each program is an
interpreter of its own, as it is after a reload, which is meant to run other code.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import runpy
import signal
import stat
import sys
import warnings
from collections.abc import Collection, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path

import django
import setproctitle
from django.conf import settings

from saga_project.local import parents
from saga_project.shared import static_files, tracing

#: What programs import beside the URLs' modules.
SHARED = (
    "saga_project.web.fast_path",
    "uvicorn.main",
    "uvloop",
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.worker.strategy",
    "celery.concurrency.thread",
    "celery.apps.beat",
    "django_celery_beat.schedulers",
    "registry.background.checking",
)
#: Leaves the environment of a process with a title where ``ps e`` and monitoring find it.
KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}
STANDARD_FILES = frozenset({0, 1, 2})
HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def are_possible() -> bool:
    return sys.platform == "linux" and not tracing.is_wanted()


def load() -> None:
    """Load what every program needs, into memory that no garbage collection touches.

    The settings are read anew: an embedded server that was started since may have got another port.
    """
    fresh = importlib.reload(sys.modules[settings.SETTINGS_MODULE])
    for name in filter(str.isupper, dir(fresh)):
        setattr(settings, name, getattr(fresh, name))
    django.setup()
    static_files.collect()  # before the URLs' modules ask for the names
    for name in (settings.ROOT_URLCONF, *SHARED):
        importlib.import_module(name)
    importlib.import_module("saga_project.celery").app.loader.import_default_modules()
    gc.collect()
    gc.freeze()


class Fork:
    """A forked program, with the part of ``subprocess.Popen`` that a supervisor needs."""

    def __init__(self, process: ForkProcess) -> None:
        self._process = process
        assert process.pid is not None  # noqa: S101 (it was started)
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode


def start(
    argv: Sequence[str],
    *,
    title: str,
    folder: Path,
    output: int | None = None,
    pass_fds: Collection[int] = (),
) -> Fork:
    """Run what the command line of a Python program names, in a fork that leads a group of its own.

    It ends with this process, and prints to the file descriptor ``output``, else to this process's output.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(argv, title, folder, output, pass_fds), name=title
    )
    process.start()
    return Fork(process)


def _run(
    argv: Sequence[str],
    title: str,
    folder: Path,
    output: int | None,
    pass_fds: Collection[int],
) -> None:
    os.setsid()
    os.chdir(folder)
    parents.end_with_parent()
    for number in HANDLED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_files(output, pass_fds)
    os.environ.update(KEEP_ENVIRONMENT)
    setproctitle.setproctitle(title)
    _execute(list(argv))


def _keep_files(output: int | None, pass_fds: Collection[int]) -> None:
    """Close the parent's channels, such as other programs' output."""
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    kept = STANDARD_FILES.union(pass_fds)
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208
        # Regular files stay: libraries keep them, and close them when they see that they were forked.
        if number not in kept and _is_channel(number):
            os.close(number)


def _is_channel(number: int) -> bool:
    """Whether it is a socket, a pipe, or what waits for these."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # the listing's own, closed since
        return False
    return stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode) or stat.S_IFMT(mode) == 0


def _execute(argv: list[str]) -> None:
    """Do what ``python argv`` does: ``-W`` filters, then ``-m`` with a module, or a script's path."""
    while argv[0] == "-W":
        action, _, message = argv[1].partition(":")
        warnings.filterwarnings(action, message=message)  # type: ignore[arg-type]
        del argv[:2]
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")
