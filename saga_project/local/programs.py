"""Programs that a supervisor keeps running: their processes, groups, and pauses before another start."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from saga_project import env
from saga_project.local import forks, parents

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0  # whatever ran for so long is started again at once


@dataclass
class Pause:
    """How long to wait before something is started again."""

    seconds: float = 0.0
    started_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    def begin(self, now: float) -> None:
        if now - self.started_at > STEADY_SECONDS:
            self.seconds = 0.0
        self.ended_at = now

    def is_over(self, now: float) -> bool:
        return self.ended_at is not None and now - self.ended_at >= self.seconds

    def end(self, now: float) -> None:
        self.seconds = min(max(FIRST_PAUSE_SECONDS, self.seconds * 2), LONGEST_PAUSE_SECONDS)
        self.started_at, self.ended_at = now, None


Process = subprocess.Popen[bytes] | forks.Fork


@dataclass
class Program:
    name: str
    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    #: Whether the process of that number is ready; such a program is replaced without a gap.
    is_ready: Callable[[int], bool] | None = None
    pause: Pause = field(default_factory=Pause)
    process: Process | None = None
    unfinished_line: bytes = b""

    def spawn(self, folder: Path, *, is_forked: bool = False) -> IO[bytes]:
        """Start the program; return what it prints. A fork runs the code that this process has loaded."""
        if is_forked:
            return self._fork(folder)
        self.process = subprocess.Popen(
            self.argv,
            cwd=folder,
            env=env.inherited() | forks.KEEP_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.pass_fds,
            preexec_fn=parents.end_with_parent,  # noqa: PLW1509 (there is one thread)
        )
        assert self.process.stdout  # noqa: S101 (by PIPE)
        return self.process.stdout

    def _fork(self, folder: Path) -> IO[bytes]:
        output, written = os.pipe()
        try:
            self.process = forks.start(
                self.argv[1:],
                title=f"saga {self.name}: {self._command}",
                folder=folder,
                output=written,
                pass_fds=self.pass_fds,
            )
        finally:
            os.close(written)
        return os.fdopen(output, "rb")

    @property
    def _command(self) -> str:
        first = self.argv.index("-m") if "-m" in self.argv else 0
        return " ".join(self.argv[first + 1 :])

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_status(self) -> int | None:
        return self.process.returncode if self.process else None

    def wait(self) -> None:
        if self.process:
            self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program and all that it started, which may outlive it."""
        if self.process:
            signal_group(self.process, number)


def signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
