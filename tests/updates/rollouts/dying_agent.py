"""An agent that kills itself in each step once, and a parent that starts it again: what systemd does.

    python -m tests.updates.rollouts.dying_agent --first 0 --seed 1 --folder FOLDER

A step is cut off at a boundary, which is another one with each death: when its order has come; at a change
of the file system or the start of a command; when it is done and its outcome is not kept; when that is kept
and not reported; when it is reported. The file ``deaths`` in the folder has a line for each.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saga_project.agent import configuration
from saga_project.agent.state import AgentState
from saga_project.local import parents

BOUNDARIES = ("ordered", "amidst", "done", "kept", "reported")
#: A death amidst a step comes at one of so many moments; a step with fewer dies when it is done.
MOMENTS = 16
CHANGES = {"os.rename", "os.symlink", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
CALLS = {"subprocess.Popen"}


class Killer:
    """Decides at which boundary the step of this process' next order is cut off."""

    def __init__(self, folder: Path, *, first: int, seed: int) -> None:
        self._file = folder / "deaths"
        known = self._file.read_text().splitlines() if self._file.exists() else []
        self._died_in = {line.split("\t")[0] for line in known}
        self._boundary = BOUNDARIES[(first + len(known)) % len(BOUNDARIES)]
        self._moment = random.Random(f"{seed} {len(known)}").randint(1, MOMENTS)
        self._local = threading.local()

    def may_die_in(self, order: dict[str, Any]) -> bool:
        return order["action"] != "probe" and self._key(order) not in self._died_in

    def _key(self, order: dict[str, Any]) -> str:
        document = order["document"]
        return f"{document['job_id']}/{document['step']}/{order['action']}"

    def pass_by(self, boundary: str, order: dict[str, Any]) -> None:
        """Die where it is time."""
        is_late = boundary == "done" and self._boundary == "amidst"
        if self.may_die_in(order) and (boundary == self._boundary or is_late):
            self._die(order)

    def watch(self, order: dict[str, Any], perform: Callable[[], Any]) -> Any:
        """Perform a step; changes of the file system by its thread count."""
        is_armed = self._boundary == "amidst" and self.may_die_in(order)
        self._local.order, self._local.left = (order, self._moment) if is_armed else (None, 0)
        try:
            return perform()
        finally:
            self._local.order = None

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        order = getattr(self._local, "order", None)
        if order is None:
            return
        is_written = event == "open" and isinstance(args[1], str) and set("wax+") & set(args[1])
        if event in CHANGES | CALLS or is_written:
            self._local.left -= 1
            if self._local.left == 0:
                self._local.order = None
                self._die(order)

    def _die(self, order: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(f"{self._key(order)}\t{order['action']}\t{self._boundary}\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def _live(state: AgentState, allowed: configuration.Allowed, killer: Killer) -> None:
    """Be the agent, with the killer at each boundary."""
    worker = importlib.import_module("saga_project.agent.worker")
    agent = worker.Agent(state, allowed)
    perform, deliver = worker.execution.perform, agent._deliver

    def dying_perform(order: dict[str, Any], **options: Any) -> Any:
        killer.pass_by("ordered", order)
        outcome = killer.watch(order, lambda: perform(order, **options))
        killer.pass_by("done", order)
        return outcome

    def dying_deliver(order_id: str, outcome: Any, running: Any) -> None:
        killer.pass_by("kept", running.order)
        deliver(order_id, outcome, running)
        killer.pass_by("reported", running.order)

    worker.execution.perform, agent._deliver = dying_perform, dying_deliver
    sys.addaudithook(killer.see)
    signal.signal(signal.SIGTERM, lambda *_: agent.is_stopping.set())
    agent.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    state = AgentState(options.folder)
    identity = state.read_identity()
    assert identity is not None
    allowed = configuration.read(options.folder)
    configuration.begin(options.folder, allowed, node=identity.node)
    importlib.import_module("saga_project.agent.worker")  # once, for all lives
    child, is_stopping = 0, False

    def stop(*_: object) -> None:
        nonlocal is_stopping
        is_stopping = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(child or os.getpid(), signal.SIGTERM if child else 0)

    signal.signal(signal.SIGTERM, stop)
    while not is_stopping:
        child = os.fork()
        if child == 0:
            parents.end_with_parent(signal.SIGKILL)
            _live(state, allowed, Killer(options.folder, first=options.first, seed=options.seed))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
