"""The story that ``make demo`` tells: real processes, real archives, a real client that counts failures.

Starts a Saga of its own beside any other (its data in a temporary folder), and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo.client import Client
from demo.runner import Runner

NAME = "shop"
INSTANCES = 3
HERE = Path(__file__).parent
PATIENCE_SECONDS = 180.0
POLL_SECONDS = 0.2
COLOURS = {"head": "\033[1m", "good": "\033[32m", "bad": "\033[31m", "dim": "\033[2m"}


def main() -> None:
    started_at = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saga-demo-")))
        folder.chmod(
            0o711
        )  # PostgreSQL of a root user runs as another account, which must get through
        is_well = Demo(folder, stack).play()
    say(
        "dim",
        f"Everything is stopped and removed again. It took {time.monotonic() - started_at:.0f} s.",
    )
    sys.exit(0 if is_well else 1)


def say(kind: str, text: str) -> None:
    is_plain = not sys.stdout.isatty()
    print(text if is_plain else f"{COLOURS[kind]}{text}\033[0m", flush=True)


def chapter(title: str) -> None:
    say("head", f"\n── {title}")


class Demo:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._port = free_port()
        self._saga = f"http://127.0.0.1:{self._port}/api/v1"
        self._roots = [folder / "machines" / str(number) for number in range(1, INSTANCES + 1)]

    def play(self) -> bool:
        chapter("A Saga of its own starts")
        self._stack.enter_context(saga_running(self._folder, self._port))
        artifacts = self._stack.enter_context(serving(self._folder / "releases"))
        say("dim", f"It answers on http://127.0.0.1:{self._port}; artifacts come from {artifacts}.")
        self._add_targets()
        for version, is_broken in (("1.0.0", False), ("2.0.0", False), ("3.0.0", True)):
            publish(self._folder / "releases", version, is_broken=is_broken)
        self._install_first(artifacts)
        client = Client(self._saga, NAME)
        client.start()
        try:
            ends = [
                self._canary(client, artifacts),
                self._bad_release(client, artifacts),
                self._roll_back(client),
            ]
        finally:
            client.stop()
        return conclude(client, all(ends))

    def _add_targets(self) -> None:
        """Targets are set up by people in the admin; the demo writes the same rows."""
        arguments = []
        for number, root in enumerate(self._roots, start=1):
            root.mkdir(parents=True)
            port = free_port()
            runner = Runner(root, [self._saga, NAME, f"shop-{number}", str(port)], 0)
            runner.start()
            self._stack.callback(runner.stop)
            arguments.append(
                {
                    "name": f"machine-{number}",
                    "position": number,
                    "install_root": str(root),
                    "instance_id": f"shop-{number}",
                    "restart": "http",
                    "restart_with": runner.restart_url,
                    "health_url": f"http://127.0.0.1:{port}/",
                    "health_successes": 3,
                    "healthy_deadline_seconds": 8,
                    "is_registry_gate": True,
                }
            )
        command = [sys.executable, "-m", "demo.setup", NAME, json.dumps(arguments)]
        subprocess.run(command, check=True, env=environment(self._folder, self._port))

    def _install_first(self, artifacts: str) -> None:
        chapter("Version 1.0.0 is installed on three machines, and its instances register")
        job = self._wait(self._deploy("1.0.0", artifacts, strategy="rolling"))
        say("good", f"{job['status']}: {self._running()}")

    def _canary(self, client: Client, artifacts: str) -> bool:
        chapter(
            "Version 2.0.0 comes as a canary: one machine and a third of the calls, then the rest"
        )
        say(
            "dim",
            "From now on a client looks the service up and calls it, about 40 times a second.",
        )
        job = self._wait(self._deploy("2.0.0", artifacts, strategy="canary"))
        say("good", f"{job['status']}: {self._running()}; {calls(client)}")
        return bool(job["status"] == "succeeded")

    def _bad_release(self, client: Client, artifacts: str) -> bool:
        chapter("Version 3.0.0 is broken: it starts, but answers every call with an error")
        job = self._wait(self._deploy("3.0.0", artifacts, strategy="rolling"))
        say("good", f"{job['status']}, by itself: {job['error']}")
        say("good", f"{self._running()}; {calls(client)}")
        return bool(job["status"] == "rolled_back")

    def _roll_back(self, client: Client) -> bool:
        chapter("Somebody wants 1.0.0 back, by hand: it is still on disk")
        answer = call("POST", f"{self._saga}/webhooks/rollback", {"service_name": NAME})
        job = self._wait(answer["job_id"])
        say("good", f"{job['status']}: {self._running()}; {calls(client)}")
        return bool(job["status"] == "succeeded")

    def _deploy(self, version: str, artifacts: str, *, strategy: str) -> str:
        body = {
            "service_name": NAME,
            "version": version,
            "artifact_url": f"{artifacts}/shop-{version}.tar.gz",
            "checksum": checksum(self._folder / "releases" / f"shop-{version}.tar.gz"),
            "strategy": strategy,
        }
        return str(call("POST", f"{self._saga}/webhooks/deploy", body)["job_id"])

    def _wait(self, job_id: str) -> dict[str, Any]:
        """Follow the job's journal and tell each step once."""
        say("dim", f"{job_id}:")
        told: set[int] = set()
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            job = call("GET", f"{self._saga}/updates/jobs/{job_id}")
            tell_steps(job, told)
            if job["status"] not in ("queued", "running", "paused"):
                return job
            time.sleep(POLL_SECONDS)
        raise SystemExit(f"{job_id} did not end within {PATIENCE_SECONDS:.0f} s.")

    def _running(self) -> str:
        instances = call("GET", f"{self._saga}/services/{NAME}/instances")["instances"]
        return ", ".join(f"{each['instance_id']} runs {each['version']}" for each in instances)


def tell_steps(job: dict[str, Any], told: set[int]) -> None:
    for number, step in enumerate(job["steps"]):
        if number not in told and step["status"] in ("succeeded", "failed"):
            told.add(number)
            place = step["target"] or "everywhere"
            colour = "bad" if step["status"] == "failed" else "dim"
            say(colour, f"   {place:<11} {step['name']:<12} {step['message']}")


def calls(client: Client) -> str:
    return f"the client made {client.calls:,} calls, {len(client.failures)} failed"


def conclude(client: Client, has_gone_well: bool) -> bool:
    chapter("The end")
    by_version = ", ".join(
        f"{count:,} by {name}" for name, count in sorted(client.versions.items())
    )
    is_well = has_gone_well and not client.failures
    say("good" if is_well else "bad", f"{calls(client)}. Answered: {by_version}.")
    for failure in client.failures[:10]:
        say("bad", f"   {failure}")
    return is_well


# --- What the story stands on ----------------------------------------------------------------------


def publish(folder: Path, version: str, *, is_broken: bool) -> None:
    folder.mkdir(exist_ok=True)
    release = json.dumps({"version": version, "is_broken": is_broken}).encode()
    with tarfile.open(folder / f"shop-{version}.tar.gz", "w:gz") as archive:
        archive.add(HERE / "app.py", "app.py")
        entry = tarfile.TarInfo("release.json")
        entry.size = len(release)
        archive.addfile(entry, io.BytesIO(release))


def checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAGA_")}
    return kept | {
        "SAGA_DATA_DIR": str(folder / "saga"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "saga_project.settings",
    }


@contextmanager
def saga_running(folder: Path, port: int) -> Iterator[None]:
    with (folder / "saga.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "saga_project.stack", "run"],
            env=environment(folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, port, folder / "saga.log")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not is_ready(port):
        if process.poll() is not None or time.monotonic() > ends_at:
            raise SystemExit(f"Saga did not start:\n{log.read_text()[-3000:]}")
        time.sleep(POLL_SECONDS)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing: the demo tells the story."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    folder.mkdir(exist_ok=True)
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as exc:
        raise SystemExit(f"{method} {url} answered {exc.code}: {exc.read().decode()}") from exc


if __name__ == "__main__":
    main()
