"""Keeps programs and embedded servers running in the foreground until it is told to stop.

One thread and one loop: it shows what the programs print, and starts again, with growing pauses, whatever
has ended. Each program leads a process group of its own, so that Ctrl-C reaches the supervisor only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from saga_project.local.embedded.processes import Server

TICK_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0  # whatever ran for so long is started again at once
GRACE_SECONDS = 15.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1


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


@dataclass
class Program:
    name: str
    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    pause: Pause = field(default_factory=Pause)
    process: subprocess.Popen[bytes] | None = None
    unfinished_line: bytes = b""

    def spawn(self, folder: Path) -> IO[bytes]:
        """Start the program; return what it prints."""
        self.process = subprocess.Popen(
            self.argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.pass_fds,
            preexec_fn=end_with_parent,  # noqa: PLW1509 (there is one thread)
        )
        assert self.process.stdout  # noqa: S101 (by PIPE)
        return self.process.stdout

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
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


if sys.platform == "linux":
    _libc = ctypes.CDLL(None, use_errno=True)

    def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
        """Have the kernel signal this process when its parent ends: no orphan keeps the port."""
        _libc.prctl(PR_SET_PDEATHSIG, number)

else:

    def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
        """Elsewhere the kernel offers nothing of the kind."""


class Supervisor:
    def __init__(
        self,
        programs: Sequence[Program],
        *,
        servers: Sequence[Server],
        folder: Path,
        show: Callable[[str], None],
    ) -> None:
        self._first = list(programs)
        self._programs: list[Program] = []
        self._servers = [(server, Pause()) for server in servers]
        self._folder = folder
        self._show = show
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False

    def watch(self, file: IO[bytes] | socket.socket, call: Callable[[], None]) -> None:
        """Call back whenever ``file`` has something to read, until it is given to ``forget``."""
        self._selector.register(file, selectors.EVENT_READ, call)

    def forget(self, file: IO[bytes] | socket.socket) -> None:
        self._selector.unregister(file)
        file.close()

    def add(self, program: Program) -> None:
        """Start one program more, and keep it running like the others."""
        self._programs.append(program)
        self._spawn(program)

    def run(self) -> None:
        """Keep all running; return after a stop signal, once the programs have ended."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        for program in self._first:
            self.add(program)
        while not self._is_stopping:
            self._pump()
            now = time.monotonic()
            for program in self._programs:
                self._tend_program(program, now)
            for server, pause in self._servers:
                self._tend_server(server, pause, now)
        self._end_programs()

    def _stop(self, number: int, frame: object) -> None:
        self._is_stopping = True

    def _pump(self) -> None:
        for key, _ in self._selector.select(TICK_SECONDS):
            key.data()

    def _spawn(self, program: Program) -> None:
        output = program.spawn(self._folder)
        self.watch(output, partial(self._show_output, program, output))

    def _show_output(self, program: Program, output: IO[bytes]) -> None:
        chunk = os.read(output.fileno(), 65536)
        *lines, program.unfinished_line = (program.unfinished_line + chunk).split(b"\n")
        for line in lines:
            self._show(f"{program.name:<8} | {line.decode(errors='replace')}")
        if not chunk:
            self.forget(output)

    def _tend_program(self, program: Program, now: float) -> None:
        if program.is_running:
            return
        if program.pause.ended_at is None:
            program.send(signal.SIGKILL)  # what it leaves behind would be in its successor's way
            self._announce(program.name, program.exit_status, program.pause, now)
        elif program.pause.is_over(now):
            program.pause.end(now)
            self._spawn(program)

    def _tend_server(self, server: Server, pause: Pause, now: float) -> None:
        if server.find():
            return
        if pause.ended_at is None:
            self._announce(server.name, server.exit_status, pause, now)
        elif pause.is_over(now):
            pause.end(now)
            server.spawn()

    def _announce(self, name: str, status: int | None, pause: Pause, now: float) -> None:
        pause.begin(now)
        how = "" if status is None else f" with status {status}"
        self._show(f"saga     | {name} ended{how}; starting it again")

    def _end_programs(self) -> None:
        """Stop all programs, politely first, and show their last words."""
        self._show("saga     | stopping")
        for program in reversed(self._programs):
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(program.is_running for program in self._programs):
            if time.monotonic() > deadline:
                break
            self._pump()
        for program in self._programs:
            program.send(signal.SIGKILL)
            program.wait()
        self._pump()
