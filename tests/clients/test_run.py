"""``saga run``: software that cannot register itself is registered while it lives and is well."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import saga_client
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests import stack as stacks
from tests import waiting
from tests.clients.conftest import SOURCE

pytestmark = pytest.mark.xdist_group("clients")

#: Says which signal ended it, and exits with 7. A signal may come within the handler of another one.
SOFTWARE = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"SIGUSR1\\n"))
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"SIGTERM\\n"), sys.exit(7)))
os.write(1, b"started\\n")
while True:
    signal.pause()
"""


class Runner:
    """``saga run`` processes, ended after the test."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self._environment = {
            "PYTHONPATH": str(SOURCE),
            "PATH": "/usr/bin:/bin",
            "SAGA_URL": url,
            "SAGA_TOKEN": token,
            "XDG_CONFIG_HOME": str(folder),
        }
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "saga_client", "run", *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children():
                    child.kill()
                process.kill()
            process.communicate()


@pytest.fixture
def runner(stack: stacks.Stack, token: str, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(f"http://127.0.0.1:{stack.port}", token, tmp_path)
    yield runner
    runner.end()


@pytest.fixture
def saga(stack: stacks.Stack, token: str) -> saga_client.Saga:
    return saga_client.Saga(f"http://127.0.0.1:{stack.port}", token=token)


def health(saga: saga_client.Saga, name: str) -> list[str]:
    return [each.health for each in saga.instances(name)]


def test_software_is_registered_once_well_reported_and_deregistered(
    runner: Runner, saga: saga_client.Saga, httpserver: HTTPServer
):
    answers = {"status": 503}
    httpserver.expect_request("/check").respond_with_handler(
        lambda _: Response(status=answers["status"])
    )
    process = runner.start(
        *("--name", "wrapped", "--port", "9001", "--version", "1.4.0"),
        *("--check", httpserver.url_for("/check"), "--check-seconds", "0.2", "--ttl", "5"),
        *("--", sys.executable, "-c", SOFTWARE),
    )
    assert process.stdout
    started = process.stdout.readline()
    waiting.until(lambda: len(httpserver.log) >= 2)
    before = saga.instances("wrapped")

    answers["status"] = 200
    [instance] = waiting.until(lambda: saga.instances("wrapped"))
    answers["status"] = 500
    waiting.until(lambda: health(saga, "wrapped") == ["critical"])
    answers["status"] = 204
    waiting.until(lambda: health(saga, "wrapped") == ["passing"])
    process.send_signal(signal.SIGUSR1)
    forwarded = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    status = process.wait(30)

    assert started == "started\n"
    assert before == []
    assert (instance.url, instance.version) == ("http://127.0.0.1:9001", "1.4.0")
    assert forwarded == "SIGUSR1\n"
    assert process.stdout.read() == "SIGTERM\n"
    assert status == 7
    assert saga.instances("wrapped") == []


def test_end_of_the_software_deregisters_it(runner: Runner, saga: saga_client.Saga):
    words = ("--name", "brief", "--service-url", "http://127.0.0.1:9002", "--")
    process = runner.start(*words, "sh", "-c", "read line < /dev/stdin; exit 3")

    assert process.wait(30) == 3
    assert saga.instances("brief") == []


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--name", "none", "--port", "9003", "--", "/no/such/program"], 127, "cannot be started"),
        (["--name", "none", "--", "true"], 2, "--port"),
        (["--name", "none", "--port", "9003"], 2, "COMMAND"),
    ],
)
def test_wrong_use_is_explained(runner: Runner, words: list[str], status: int, message: str):
    process = runner.start(*words)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == status
    assert message in errors
