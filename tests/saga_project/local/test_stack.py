"""``make run``'s own command, with everything that it starts, in a data folder of its own."""

from __future__ import annotations

import http
import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests import stack as stacks
from tests import waiting

pytestmark = pytest.mark.xdist_group("stack")  # one worker, so that the stack is started once


@pytest.fixture(scope="module")
def shared() -> Iterator[stacks.Stack]:
    with stacks.started_first(SAGA_WEB_PROCESSES="1") as running:
        yield running


@pytest.fixture
def stack(shared: stacks.Stack) -> stacks.Stack:
    """The stack, started again where the test before has stopped it."""
    assert shared.launcher
    if shared.launcher.poll() is not None:
        shared.start()
    return shared


def _url(stack: stacks.Stack) -> str:
    return f"http://127.0.0.1:{stack.port}"


def _refusal(stack: stacks.Stack, **variables: str) -> str:
    """Start another one beside it and return what it says."""
    finished = subprocess.run(
        [sys.executable, "-m", "saga_project.local.stack"],
        cwd=stacks.ROOT,
        env=stack.environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    return finished.stderr


def test_the_first_start_makes_a_password_with_which_an_admin_logs_in(stack: stacks.Stack) -> None:
    file = stack.folder / "var" / "admin-password"
    session = requests.Session()
    session.get(f"{_url(stack)}/admin/login/", timeout=10)

    answer = session.post(
        f"{_url(stack)}/admin/login/",
        {
            "username": "admin",
            "password": file.read_text().strip(),
            "next": "/admin/",
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        },
        timeout=10,
    )

    assert (answer.status_code, answer.url) == (200, f"{_url(stack)}/admin/")
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_password_is_on_a_command_line(stack: stacks.Stack) -> None:
    """Every user of the machine can read command lines."""
    secrets = [file.read_text().strip() for file in (stack.folder / "var" / "secrets").iterdir()]

    assert secrets
    assert [secret for secret in secrets if stack.processes(secret)] == []


def test_a_second_one_over_the_same_data_is_refused(stack: stacks.Stack) -> None:
    assert stack.launcher

    text = _refusal(stack)

    assert text.startswith("Saga already runs with the data in ")
    assert f"(process {stack.launcher.pid})" in text


def test_a_taken_port_is_named(stack: stacks.Stack, tmp_path: Path) -> None:
    text = _refusal(stack, SAGA_DATA_DIR=str(tmp_path))

    assert text.startswith(f"Saga cannot listen on 127.0.0.1:{stack.port} (Address already in use)")


def test_a_host_that_is_not_there_is_named(stack: stacks.Stack, tmp_path: Path) -> None:
    text = _refusal(stack, SAGA_DATA_DIR=str(tmp_path), HOST="nowhere.invalid")

    assert text.startswith("Saga cannot find HOST=nowhere.invalid (")


def test_a_wrong_value_is_named(stack: stacks.Stack, tmp_path: Path) -> None:
    text = _refusal(stack, SAGA_DATA_DIR=str(tmp_path), REGISTRATION_TTL="soon")

    assert text.startswith("REGISTRATION_TTL: ")


def test_a_request_waits_while_a_killed_web_process_is_started_again(stack: stacks.Stack) -> None:
    assert stack.kill("uvicorn") == 1

    answer = requests.get(f"{_url(stack)}/livez", timeout=60)

    assert answer.status_code == 200


class Calls:
    """Calls over kept connections and over new ones, without a retry; counts what got no good answer."""

    PATHS = ("/api/v1/services", "/api/v1/updates/history")

    def __init__(self, port: int) -> None:
        self.count = 0
        self.failures: list[str] = []
        self._port = port
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(path, is_kept))
            for path in self.PATHS
            for is_kept in (True, False)
        ]

    def _run(self, path: str, is_kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._is_over.wait(0.001):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != http.HTTPStatus.OK:
                    self.failures.append(f"{path}: {answer.status}")
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(f"{path}: {exc!r}")
                connection.close()
            self.count += 1
            if not is_kept:
                connection.close()
        connection.close()

    def __enter__(self) -> Calls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def test_a_hang_up_reloads_every_process_without_a_failed_call(stack: stacks.Stack) -> None:
    assert stack.launcher
    waiting.until(lambda: stack.processes("celery", "beat"), seconds=60)
    programs = [each for word in ("uvicorn", "sweep", "celery") for each in stack.processes(word)]
    reloads = stack.log().count(b"reloaded")

    with Calls(stack.port) as calls:
        waiting.until(lambda: calls.count > 100)
        stack.launcher.send_signal(signal.SIGHUP)
        waiting.until(lambda: stack.log().count(b"reloaded") > reloads, seconds=180)
        count = calls.count
        waiting.until(lambda: calls.count > count + 100)

    assert calls.failures == []
    waiting.until_ended(programs)
    assert len(programs) == 5
    assert len(stack.processes("uvicorn")) == 1


def test_a_killed_launcher_leaves_servers_that_the_next_one_uses(stack: stacks.Stack) -> None:
    assert stack.launcher
    [database] = stack.processes("postgres", "-D")
    [web] = stack.processes("uvicorn")
    stack.launcher.kill()
    stack.launcher.wait()
    waiting.until_ended([web])

    stack.start()

    assert b"postgresql was still running and is used again" in stack.log()
    assert stack.processes("postgres", "-D") == [database]


def test_a_stop_signal_stops_everything_and_a_later_start_finds_its_data(
    stack: stacks.Stack,
) -> None:
    assert stack.launcher
    everything = psutil.Process(stack.launcher.pid).children(recursive=True)

    stack.launcher.send_signal(signal.SIGINT)

    assert stack.launcher.wait(timeout=60) == 0
    waiting.until_ended(everything)
    stack.start()
    assert stack.log().count(b"Log in at") == 1
