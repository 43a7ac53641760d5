"""The story: a service in two slots, canaries, a blue-green switch, a fast rollback, and its client."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo import stage
from demo.client import Client
from demo.runner import Runner

NAME = "shop"
SLOTS = {"blue": (1, 2), "green": (3, 4)}
#: Watch for a few seconds at the end of each deployment.
OPTIONS: dict[str, dict[str, Any]] = {
    "rolling": {"bake_seconds": 2},
    "canary": {"bake_seconds": 2, "steps": [{"weight": 34, "pause_seconds": 5}]},
    "blue-green": {"bake_seconds": 2, "scale_down_delay_seconds": 3},
}
#: It would wait for ten minutes: what is sick in it must not.
LONG_CANARY = {"bake_seconds": 2, "steps": [{"weight": 34, "pause_seconds": 600}]}
FIRST_CANARY = {"strategy_options": {"steps": [{"weight": 34, "pause_seconds": 5}]}}
LIVE = ("queued", "running", "paused")
COLOURS = {"head": "\033[1m", "good": "\033[32m", "bad": "\033[31m", "dim": "\033[2m", "plain": ""}
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
INTRODUCTION = """\
A shop runs on two machines; two more stand by (here: processes with a folder each). Each registers with Saga
and sends a heartbeat every second. A customer asks Saga where the shop is and calls it, some 40 times a
second, and never tries twice. Now come a good release, one that gets sick, a switch to the other two
machines, and a fast rollback; the customer should not notice. What Saga writes into its journal is shown as
it happens."""


def say(kind: str, text: str) -> None:
    is_plain = not sys.stdout.isatty()
    print(text if is_plain else f"{COLOURS[kind]}{text}\033[0m", flush=True)


def chapter(title: str) -> None:
    say("head", f"\n── {title}")


class Story:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._port = stage.free_port()
        self._saga = f"http://127.0.0.1:{self._port}/api/v1"
        self._releases = folder / "releases"
        self._artifacts = ""

    def set_up(self) -> None:
        """Start a Saga, a server with artifacts, and the machines' runners."""
        self._stack.enter_context(stage.saga_running(self._folder, self._port))
        self._artifacts = self._stack.enter_context(stage.serving(self._releases))
        self._add_targets()

    def play(self) -> bool:
        say("plain", INTRODUCTION)
        chapter("1. A Saga of its own starts")
        self.set_up()
        for major in range(1, 6):
            stage.publish(self._releases, f"{major}.0.0")
        say(
            "dim",
            f"It answers on http://127.0.0.1:{self._port}; releases are at {self._artifacts}.",
        )
        self._install_first()
        client = Client(self._saga, NAME)
        client.start()
        try:
            ends = [
                self._canary(client),
                self._sick_canary(client),
                self._blue_green(client),
                self._roll_back(client),
            ]
        finally:
            client.stop()
        return conclude(client, all(ends))

    def _add_targets(self) -> None:
        """Apply the configuration: where the service is installed, and how its canaries go."""
        targets = [
            self._start_machine(number, slot)
            for slot, numbers in SLOTS.items()
            for number in numbers
        ]
        document = {
            "managed_by": "demo",
            "services": [{"name": NAME}],
            "policies": [{"service_name": NAME, "strategy": "canary", **FIRST_CANARY}],
            "targets": [{"service_name": NAME, **target} for target in targets],
        }
        token = stage.administrator_token(self._folder, self._port)
        stage.call("POST", f"{self._saga}/apply", document, token=token)

    def _root(self, number: int) -> Path:
        return self._folder / "machines" / str(number)

    def _start_machine(self, number: int, slot: str) -> dict[str, Any]:
        root = self._root(number)
        root.mkdir(parents=True)
        runner = Runner(root, [self._saga, NAME, f"shop-{number}"], 0)
        runner.start()
        self._stack.callback(runner.stop)
        return {
            "name": f"machine-{number}",
            "position": number,
            "slot": slot,
            "install_root": str(root),
            "instance_id": f"shop-{number}",
            "restart": "http",
            "restart_with": runner.restart_url,
            "health_url": f"{runner.url}/health",
            "health_successes": 2,
            "healthy_deadline_seconds": 60,
            "is_registry_gate": True,
        }

    def _install_first(self) -> None:
        chapter("2. Version 1.0.0 is installed, machine after machine, and the shop registers")
        job = self.wait(self.deploy("1.0.0", strategy="rolling"))
        say("good", f"=> {job['status']}: {self._running()}")

    def _canary(self, client: Client) -> bool:
        chapter("3. Version 2.0.0 comes as a canary: one machine first, with a third of the calls")
        say("dim", "From now on the customer calls.")
        answers: list[Counter[str]] = []

        def look(step: dict[str, Any]) -> None:
            if step["name"] in ("undrain", "clear share"):
                answers.append(client.versions.copy())

        job = self.wait(self.deploy("2.0.0", strategy="canary"), on_step=look)
        while_canary = answers[1] - answers[0]
        share = 100 * while_canary["2.0.0"] // max(1, while_canary.total())
        say("good", f"=> While it was a canary, 2.0.0 answered {share} % of the calls.")
        say("good", f"=> {job['status']}: {self._running()}; {calls(client)}")
        return bool(job["status"] == "succeeded")

    def _sick_canary(self, client: Client) -> bool:
        chapter(
            "4. Version 3.0.0 is a canary, too. It would wait for ten minutes, and gets sick meanwhile"
        )
        first = SLOTS["blue"][0]
        pause = {"is_begun": False}

        def look(job: dict[str, Any]) -> None:
            if job["status"] == "paused" and not pause["is_begun"]:
                pause["is_begun"] = True
                say(
                    "dim",
                    f"   machine-{first}   now says that it is critical; it is called no more.",
                )
                (self._root(first) / "current" / "sick").touch()

        job = self.wait(self.deploy("3.0.0", strategy="canary", options=LONG_CANARY), on_look=look)
        say("good", f"=> {job['status']} while it waited: {job['error']}")
        say("good", f"=> {self._running()}; {calls(client)}")
        return bool(job["status"] == "rolled_back" and pause["is_begun"])

    def _blue_green(self, client: Client) -> bool:
        chapter(
            "5. Version 4.0.0 goes to the two machines that stand by, then all calls move at once"
        )
        job = self.wait(self.deploy("4.0.0", strategy="blue-green"))
        say("good", f"=> {job['status']}: {self._running()}; {calls(client)}")
        return bool(job["status"] == "succeeded")

    def _roll_back(self, client: Client) -> bool:
        chapter(
            "6. Version 5.0.0 is rolled out, and taken back fast: both machines at once, from their disks"
        )
        job = self.wait(self.deploy("5.0.0", strategy="rolling"))
        began_at = time.monotonic()
        body = {"service_name": NAME, "fast": True}
        answer = stage.call("POST", f"{self._saga}/webhooks/rollback", body)
        while not all(self._is_current(number, "4.0.0") for number in SLOTS["green"]):
            time.sleep(0.005)
        seconds = time.monotonic() - began_at
        back = self.wait(answer["job_id"])
        say("good", f"=> 4.0.0 was current on both {seconds:.1f} s after the request.")
        say("good", f"=> {back['status']}: {self._running()}; {calls(client)}")
        return bool(job["status"] == back["status"] == "succeeded")

    def _is_current(self, number: int, version: str) -> bool:
        return (self._root(number) / "current").readlink().name == version

    def deploy(self, version: str, *, strategy: str, options: dict[str, Any] | None = None) -> str:
        name = f"shop-{version}.tar.gz"
        body = {
            "service_name": NAME,
            "version": version,
            "artifact_url": f"{self._artifacts}/{name}",
            "checksum": stage.checksum(self._releases / name),
            "strategy": strategy,
            "strategy_options": options or OPTIONS[strategy],
        }
        return str(stage.call("POST", f"{self._saga}/webhooks/deploy", body)["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return stage.call("GET", f"{self._saga}/updates/jobs/{job_id}")

    def wait(
        self,
        job_id: str,
        *,
        on_step: Callable[[dict[str, Any]], None] = lambda _step: None,
        on_look: Callable[[dict[str, Any]], None] = lambda _job: None,
    ) -> dict[str, Any]:
        """Follow the job's journal and print each step once."""
        say("dim", f"{job_id}:")
        printed: set[int] = set()
        ends_at = time.monotonic() + stage.PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            job = self.job(job_id)
            on_look(job)
            for number, step in enumerate(job["steps"]):
                if number not in printed and step["status"] in ("succeeded", "failed"):
                    printed.add(number)
                    report(step)
                    on_step(step)
            if job["status"] not in LIVE:
                return job
            time.sleep(stage.POLL_SECONDS)
        raise SystemExit(f"{job_id} did not end within {stage.PATIENCE_SECONDS:.0f} s.")

    def _running(self) -> str:
        instances = stage.call("GET", f"{self._saga}/services/{NAME}/instances")["instances"]
        return ", ".join(f"{each['instance_id']} runs {each['version']}" for each in instances)


def report(step: dict[str, Any]) -> None:
    place = step["target"] or "everywhere"
    colour = "bad" if step["status"] == "failed" else "dim"
    message = _DIGEST.sub(r"\1…", step["message"])
    say(colour, f"   {place:<11} {step['name']:<12} {message}")


def calls(client: Client) -> str:
    return f"the customer made {client.calls:,} calls, {len(client.failures)} failed"


def conclude(client: Client, has_gone_well: bool) -> bool:
    chapter("The end")
    by_version = ", ".join(
        f"{count:,} by {name}" for name, count in sorted(client.versions.items())
    )
    is_well = has_gone_well and not client.failures
    say("good" if is_well else "bad", f"In all, {calls(client)}. Answered: {by_version}.")
    for failure in client.failures[:10]:
        say("bad", f"   {failure}")
    say("dim", "To try it with a service of your own: make run, then docs/deployments.md.")
    return is_well
