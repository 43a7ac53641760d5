"""The supervisor, in a process of its own, over programs that are small but real."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from saga_project.local import embedded
from saga_project.local.embedded import valkey
from tests import waiting

ROOT = Path(__file__).resolve().parents[3]
SUPERVISE = """
import pathlib, sys
from saga_project.local import supervisor
from saga_project.local.embedded import valkey

path, data_dir, is_forking = sys.argv[1:]
servers = [valkey.server(pathlib.Path(data_dir))] if data_dir else []
for server in servers:
    server.start()
supervisor.Supervisor(
    [supervisor.Program("web", [sys.executable, path])],
    servers=servers, folder=pathlib.Path.cwd(),
    grace_seconds=1.0, is_forking=bool(is_forking),
).run()
for server in servers:
    server.stop()
"""
WAIT = r"import os, signal; os.write(1, b'%d\n' % os.getpid()); signal.pause()"
WAIT_WITH_CHILD = f"import os; os.fork(); {WAIT}"
WAIT_STUBBORNLY = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"

Supervise = Callable[..., subprocess.Popen[str]]


@pytest.fixture(params=["", "forking"], ids=["in interpreters", "in forks"])
def supervise(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervise]:
    started = []

    def start(code: str, *, data_dir: Path | None = None) -> subprocess.Popen[str]:
        script = tmp_path / "program.py"
        script.write_text(code)
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, script, str(data_dir or ""), request.param],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _printed_process(process: subprocess.Popen[str]) -> psutil.Process:
    return psutil.Process(int(_line(process).removeprefix("web      | ")))


def test_shows_what_a_program_prints_after_its_name(supervise: Supervise) -> None:
    process = supervise("print('hello', flush=True); import signal; signal.pause()")

    assert _line(process) == "web      | hello"


def test_starts_a_killed_program_again(supervise: Supervise) -> None:
    process = supervise(WAIT)
    first = _printed_process(process)

    first.kill()

    assert _line(process) == "saga     | web ended with status -9; starting it again"
    assert _printed_process(process).pid != first.pid


def test_ends_what_a_killed_program_left_behind(supervise: Supervise) -> None:
    process = supervise(WAIT_WITH_CHILD)
    family = [_printed_process(process), _printed_process(process)]
    parent, child = sorted(family, key=lambda each: each.create_time())

    parent.kill()

    waiting.until_ended([child])


def test_a_stop_signal_ends_the_programs_and_then_the_supervisor(supervise: Supervise) -> None:
    process = supervise(WAIT)
    program = _printed_process(process)

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=10) == 0
    assert not program.is_running()


def test_a_program_that_ignores_the_stop_signal_is_killed(supervise: Supervise) -> None:
    process = supervise(WAIT_STUBBORNLY)
    program = _printed_process(process)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0
    assert not program.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_supervisor_leaves_no_program_behind(supervise: Supervise) -> None:
    process = supervise(WAIT)
    program = _printed_process(process)

    process.kill()

    waiting.until_ended([program])


def test_starts_a_killed_server_again_on_its_port(supervise: Supervise, data_dir: Path) -> None:
    process = supervise(WAIT, data_dir=data_dir)
    _printed_process(process)
    port = embedded.port(data_dir, "valkey")
    os.kill(int((data_dir / "valkey" / "valkey.pid").read_text()), signal.SIGKILL)

    line = _line(process)
    waiting.until(valkey.server(data_dir).is_answering)

    assert line == "saga     | valkey ended with status -9; starting it again"
    assert embedded.port(data_dir, "valkey") == port


def test_a_hang_up_replaces_the_program(supervise: Supervise) -> None:
    process = supervise(WAIT)
    first = _printed_process(process)

    process.send_signal(signal.SIGHUP)

    assert _line(process) == "saga     | reloading"
    assert {_line(process), _line(process)} > {"saga     | reloaded"}
    assert not first.is_running()
    assert process.poll() is None


def test_the_end_of_the_terminal_stops_the_programs(tmp_path: Path) -> None:
    """The reload is for operators; a terminal that was closed leaves nothing running."""
    printed = tmp_path / "pid"
    code = f"import os, signal; open({str(printed)!r}, 'w').write(str(os.getpid())); signal.pause()"
    script = tmp_path / "program.py"
    script.write_text(code)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(sys.executable, [sys.executable, "-c", SUPERVISE, str(script), "", ""])
    waiting.until(lambda: printed.exists() and printed.read_text())

    os.close(terminal)

    assert os.waitpid(pid, 0)[1] == 0
    assert not psutil.pid_exists(int(printed.read_text()))
