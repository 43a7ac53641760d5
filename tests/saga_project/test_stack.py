"""``make run``'s own command, with everything that it starts, in a data folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from saga_project.embedded import processes

pytestmark = pytest.mark.xdist_group("stack")  # one worker, so that the stack is started once
ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "saga_project.stack"]


class Stack:
    """A launcher in the background, and what it has said."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        self.lines: list[str] = []
        self.process: subprocess.Popen[str]

    def start(self) -> None:
        self.lines = []
        self.process = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.read_until("saga     | ready after")

    def read_until(self, text: str) -> str:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return line.rstrip()
        raise AssertionError("\n".join(["The stack ended:", *self.lines]))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=60)
        self.lines += output.splitlines()
        return self.process.returncode

    def child(self, *words: str) -> psutil.Process:
        """Return the process that was started with these words in its command."""
        for process in psutil.Process(self.process.pid).children():
            if all(word in " ".join(process.cmdline()) for word in words):
                return process
        raise AssertionError(f"nothing runs with {words}")


@pytest.fixture(scope="module")
def stack(data_dir: Path) -> Iterator[Stack]:
    environment = os.environ | {
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "SAGA_DATA_DIR": str(data_dir),
        "PORT": str(processes.any_free_port()),
        "SAGA_WEB_PROCESSES": "1",
    }
    running = Stack(environment)
    running.start()
    yield running
    if running.process.poll() is None:
        running.stop()


def _says(environment: dict[str, str]) -> str:
    finished = subprocess.run(
        COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    return finished.stderr


def test_serves_when_it_says_so(stack: Stack) -> None:
    assert requests.get(f"{stack.url}/readyz", timeout=10).status_code == 200


def test_the_first_start_makes_a_password_that_lets_an_admin_in(
    stack: Stack, data_dir: Path
) -> None:
    file = data_dir / "admin-password"
    password = file.read_text().strip()
    session = requests.Session()
    session.get(f"{stack.url}/admin/login/", timeout=10)

    answer = session.post(
        f"{stack.url}/admin/login/",
        {
            "username": "admin",
            "password": password,
            "next": "/admin/",
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        },
        timeout=10,
    )

    assert (answer.status_code, answer.url) == (200, f"{stack.url}/admin/")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_second_one_over_the_same_data_is_refused(stack: Stack) -> None:
    text = _says(stack.environment)

    assert text.startswith("Saga already runs with the data in ")
    assert f"(process {stack.process.pid})" in text


def test_a_taken_port_is_named(stack: Stack, tmp_path: Path) -> None:
    text = _says(stack.environment | {"SAGA_DATA_DIR": str(tmp_path)})

    assert text.startswith(f"Saga cannot listen on 127.0.0.1:{stack.environment['PORT']}")


def test_a_request_waits_while_a_killed_web_process_is_started_again(stack: Stack) -> None:
    stack.child("uvicorn").kill()

    answer = requests.get(f"{stack.url}/livez", timeout=60)

    assert answer.status_code == 200


def test_a_killed_launcher_leaves_servers_that_the_next_one_uses(stack: Stack) -> None:
    database = stack.child("postgres", "-D")
    web = stack.child("uvicorn")
    stack.process.kill()
    stack.process.communicate()
    psutil.wait_procs([web], timeout=10)

    stack.start()

    assert "saga     | postgresql was still running and is used again" in stack.lines
    assert database.is_running()
    assert requests.get(f"{stack.url}/readyz", timeout=10).status_code == 200


def test_a_stop_signal_stops_everything_and_a_later_start_finds_its_data(stack: Stack) -> None:
    if stack.process.poll() is not None:
        stack.start()
    everything = psutil.Process(stack.process.pid).children(recursive=True)

    status = stack.stop()

    assert status == 0
    assert psutil.wait_procs(everything, timeout=10)[1] == []
    stack.start()
    assert not any("Log in at" in line for line in stack.lines)
