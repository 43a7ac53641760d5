"""An agent of a node in a process of its own, as an account without any setting of Saga runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from django.utils import timezone

from registry.identity import accounts
from tests import waiting
from updates.models import Node
from updates.operations import nodes as enrolment
from updates.rollouts import nodes

ROOT = Path(__file__).resolve().parents[3]
STAFF = accounts.staff("root")


class AgentProcess:
    """The agent of node ``web1``."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self.process: subprocess.Popen[bytes] | None = None
        self._threads_before = set(threading.enumerate())
        folder.mkdir()

    def allow(self, *, roots: tuple[str, ...] = (), **commands: list[str]) -> None:
        lines = [f"{name} = {json.dumps(words)}" for name, words in commands.items()]
        lists = ['installers = ["directory"]']
        if roots:
            lists.append(f"install_roots = {json.dumps(roots)}")
        text = "\n".join([*lists, "[commands]", *lines])
        (self.folder / "agent.toml").write_text(text)

    def command(
        self, *words: str, module: str = "saga_project.agent", **variables: str
    ) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python" / "src")])
        return subprocess.Popen(
            [sys.executable, "-m", module, *words, "--folder", str(self.folder)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )

    def join(self, *options: str, is_approving: bool = True) -> int:
        text = enrolment.make_join_token(
            "web1", hours=1, is_approving=is_approving, by=STAFF, now=timezone.now()
        )
        words = ("join", "--server", self.server, *options)
        return self.command(*words, SAGA_JOIN_TOKEN=text).wait(60)

    def start(self) -> None:
        self.process = self.command("run")

    def start_dying(self, *, first: int, seed: int) -> None:
        """Start one that dies in each step, by a boundary in turn from the ``first`` on, and comes back."""
        self.process = self.command(
            *("--first", str(first), "--seed", str(seed)),
            module="tests.updates.rollouts.dying_agent",
        )

    def deaths(self) -> list[tuple[str, str]]:
        """Return the actions in which it died, each with the boundary."""
        file = self.folder / "deaths"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line.split("\t")[1], line.split("\t")[2]) for line in lines]

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def end(self) -> None:
        """End it in an orderly way, with the child of one that dies again and again."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def until_polls_ended(self) -> None:
        """Wait for the polls of an agent that was killed: their threads use the database of the test."""
        Node.objects.update(status=Node.Status.REVOKED)
        waiting.until(lambda: not self._is_answered(), seconds=60)

    def _is_answered(self) -> bool:
        """Whether the live server has a thread for a request of the agent; it ends after its connection."""
        threads = set(threading.enumerate()) - self._threads_before
        return any("process_request_thread" in thread.name for thread in threads)

    @property
    def root(self) -> Path:
        return self.folder / "services" / "shop" / "web"


def until_alive() -> None:
    waiting.until(lambda: nodes.has_worker("web1"), seconds=60)
