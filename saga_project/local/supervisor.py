"""Keeps programs and embedded servers running in the foreground until it is asked to stop.

``SIGHUP`` replaces the programs one after the other. Where it says that the terminal is gone, it stops them.

One thread and one loop: it shows what the programs print, and starts again, with growing pauses, whatever
has ended. Each program leads a process group of its own, so that Ctrl-C reaches the supervisor only.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from saga_project.local import printing, replacing
from saga_project.local.embedded.processes import Server
from saga_project.local.programs import Pause, Program

TICK_SECONDS = 0.1
#: While everything runs: the end of a program is noticed at once, the end of a server after so long.
CALM_TICK_SECONDS = 0.5
GRACE_SECONDS = 17.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal; one that was closed is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Supervisor:
    def __init__(
        self,
        programs: Sequence[Program],
        *,
        servers: Sequence[Server],
        folder: Path,
        grace_seconds: float = GRACE_SECONDS,
        is_forking: bool = False,
    ) -> None:
        self._first = list(programs)
        self._programs: list[Program] = []
        self._servers = [(server, Pause()) for server in servers]
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._grace_seconds = grace_seconds
        self._is_forking = is_forking
        self._is_stopping = False
        self._is_reload_wanted = False
        self._has_terminal = _has_terminal()
        self._replacing: Iterator[Program] | None = None

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
        signal.signal(signal.SIGHUP, self._hang_up)
        for program in self._first:
            self.add(program)
        while not self._is_stopping:
            self._pump()
            now = time.monotonic()
            replaced = self._replace()
            for program in self._programs:
                if program is not replaced:
                    self._tend_program(program, now)
            for server, pause in self._servers:
                self._tend_server(server, pause, now)
        self._end_programs()

    def _stop(self, number: int, frame: object) -> None:
        self._is_stopping = True

    def _hang_up(self, number: int, frame: object) -> None:
        if self._has_terminal and not _has_terminal():
            self._is_stopping = True
        else:
            self._is_reload_wanted = True

    def _replace(self) -> Program | None:
        """Go on with a reload; return the program whose turn it is."""
        if self._is_reload_wanted and self._replacing is None:
            self._is_reload_wanted = False
            self._is_forking = False  # other code is wanted than this process has loaded
            printing.show(printing.SAGA, "reloading")
            self._replacing = replacing.replace(
                list(self._programs),
                spawn=self._spawn_anew,
                grace_seconds=self._grace_seconds,
            )
        program = next(self._replacing, None) if self._replacing else None
        if program is None:
            self._replacing = None
        return program

    def _spawn_anew(self, program: Program) -> None:
        program.pause = Pause()
        self._spawn(program)

    def _pump(self) -> None:
        for key, _ in self._selector.select(CALM_TICK_SECONDS if self._is_calm else TICK_SECONDS):
            key.data()

    @property
    def _is_calm(self) -> bool:
        """Whether there is nothing to wait for: no reload, no stop, no pause before another start."""
        pauses = [program.pause for program in self._programs]
        pauses += [pause for _, pause in self._servers]
        is_changing = self._is_stopping or self._is_reload_wanted or self._replacing is not None
        return not is_changing and all(pause.ended_at is None for pause in pauses)

    def _spawn(self, program: Program) -> None:
        output = program.spawn(self._folder, is_forked=self._is_forking)
        self.watch(output, partial(self._show_output, program, output))

    def _show_output(self, program: Program, output: IO[bytes]) -> None:
        chunk = os.read(output.fileno(), 65536)
        *lines, program.unfinished_line = (program.unfinished_line + chunk).split(b"\n")
        for line in lines:
            printing.show(program.name, line.decode(errors="replace"))
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
        printing.show(printing.SAGA, f"{name} ended{how}; starting it again")

    def _end_programs(self) -> None:
        """Stop all programs, politely first, and show their last words."""
        printing.show(printing.SAGA, "stopping")
        for program in reversed(self._programs):
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + self._grace_seconds
        while any(program.is_running for program in self._programs):
            if time.monotonic() > deadline:
                break
            self._pump()
        for program in self._programs:
            program.send(signal.SIGKILL)
            program.wait()
        self._pump()
