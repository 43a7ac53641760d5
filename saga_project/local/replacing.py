"""Replace running programs one after the other, as ``SIGHUP`` asks for after an upgrade."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence

from saga_project.local import printing
from saga_project.local.programs import Process, Program, signal_group

READY_SECONDS = 60.0


def replace(
    programs: Sequence[Program],
    *,
    spawn: Callable[[Program], None],
    grace_seconds: float,
) -> Iterator[Program]:
    """Yield the program whose turn it is, each time that there is something to wait for.

    The successor of a program that reports when it is ready starts first: the two share a socket, and the old
    process answers what it has. Any other program stops first. A successor that does not become ready ends
    the reload, and the old process stays.
    """
    for program in programs:
        old = program.process
        if program.is_ready is None:
            yield from _end(program, old, grace_seconds)
            spawn(program)
            continue
        spawn(program)
        yield from _await(program)
        if not _has_begun(program):
            program.send(signal.SIGKILL)
            program.process = old
            printing.show(
                printing.SAGA, f"the new {program.name} does not start; the old one goes on"
            )
            return
        yield from _end(program, old, grace_seconds)
    printing.show(printing.SAGA, "reloaded")


def _has_begun(program: Program) -> bool:
    process, is_ready = program.process, program.is_ready
    return (
        process is not None
        and is_ready is not None
        and program.is_running
        and is_ready(process.pid)
    )


def _await(program: Program) -> Iterator[Program]:
    deadline = time.monotonic() + READY_SECONDS
    while program.is_running and not _has_begun(program) and time.monotonic() < deadline:
        yield program


def _end(program: Program, process: Process | None, grace_seconds: float) -> Iterator[Program]:
    """Stop a process, politely first."""
    if process is None:
        return
    signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while process.poll() is None and time.monotonic() < deadline:
        yield program
    signal_group(process, signal.SIGKILL)
    process.wait()
