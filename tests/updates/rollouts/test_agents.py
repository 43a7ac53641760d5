"""Nodes with an agent: another process does the steps, by orders over HTTP, and may be killed at any line."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from registry.identity import accounts
from registry.models import Service
from tests import waiting
from tests.updates.rollouts.conftest import Announce, installed
from updates import operations
from updates.models import Job, Node, NodeOrder, Target
from updates.operations import nodes as enrolment
from updates.rollouts import nodes, recovery, runner

ROOT = Path(__file__).resolve().parents[3]
STAFF = accounts.staff("root")
pytestmark = pytest.mark.usefixtures("redis")


class AgentProcess:
    """The agent of node ``web1`` as an account without any setting of Saga runs it."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def allow(self, **commands: list[str]) -> None:
        lines = [f"{name} = {json.dumps(words)}" for name, words in commands.items()]
        text = "\n".join(['installers = ["directory"]', "[commands]", *lines])
        (self.folder / "agent.toml").write_text(text)

    def command(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python" / "src")])
        return subprocess.Popen(
            [sys.executable, "-m", "saga_project.agent", *words, "--folder", str(self.folder)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )

    def join(self, *, is_approving: bool = True) -> int:
        text = enrolment.make_join_token(
            "web1", hours=1, is_approving=is_approving, by=STAFF, now=timezone.now()
        )
        return self.command("join", "--server", self.server, SAGA_JOIN_TOKEN=text).wait(60)

    def start(self) -> None:
        self.process = self.command("run")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def root(self) -> Path:
        return self.folder / "services" / "shop" / "web"


@pytest.fixture
def agent(tmp_path: Path, live_server: Any, transactional_db: None) -> Iterator[AgentProcess]:
    running = AgentProcess(tmp_path / "agent", live_server.url)
    assert running.join() == 0
    yield running
    running.kill()
    until_polls_ended()


@pytest.fixture
def target(service: Service) -> Target:
    return Target.objects.create(service=service, name="web", node="web1")


def worked(job: Job) -> Job:
    """Work on a job as any worker does, again and again, until it is over."""

    def is_over() -> bool:
        recovery.sweep()
        runner.run(job.pk, node="local")
        job.refresh_from_db()
        return job.status not in Job.LIVE

    waiting.until(is_over, seconds=120)
    return job


def until_alive() -> None:
    waiting.until(lambda: nodes.has_worker("web1"), seconds=60)


def until_polls_ended() -> None:
    """Wait for the polls of an agent that was killed: their threads use the database of the test."""
    Node.objects.update(status=Node.Status.REVOKED)
    waiting.until(lambda: _sessions_of_others() == 0, seconds=60)


def _sessions_of_others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_agent_deploys_and_rolls_back_on_its_own_disk(
    agent: AgentProcess, service: Service, target: Target, publish: Announce, root: Path
) -> None:
    agent.start()
    until_alive()
    first = worked(operations.deploy(service, publish("1.0.0"), by="ci"))
    second = worked(operations.deploy(service, publish("1.1.0"), by="ci"))
    at_second = installed(agent.root)

    back = worked(operations.roll_back(service, None, by="ci"))

    assert [job.status for job in (first, second, back)] == [Job.Status.SUCCEEDED] * 3, (
        first.error,
        second.error,
        back.error,
    )
    assert (at_second, installed(agent.root)) == ("1.1.0", "1.0.0")
    assert not root.exists()
    assert not NodeOrder.objects.exists()
    facts = Node.objects.get().facts
    assert facts["disk_bytes"] > 0


KILLING = 'test -e "$SAGA_INSTALL_ROOT/$0" || { touch "$SAGA_INSTALL_ROOT/$0"; kill -9 $PPID; }'


def test_agent_that_is_killed_in_its_steps_does_them_once_more(
    agent: AgentProcess, service: Service, target: Target, publish: Announce
) -> None:
    agent.allow(
        unpacked=["/bin/sh", "-c", KILLING, "killed-unpacked"],
        before=["/bin/sh", "-c", KILLING, "killed-before"],
        restarted=["/bin/sh", "-c", KILLING, "killed-restarted"],
    )
    target.hooks = {"after_unpack": {"command": "unpacked"}, "before_switch": {"command": "before"}}
    target.restart, target.restart_with = Target.Restart.COMMAND, "restarted"
    target.save()
    agent.start()
    until_alive()
    is_over, deaths = threading.Event(), []

    def start_again() -> None:
        while not is_over.wait(0.1):
            if agent.process is not None and agent.process.poll() is not None:
                deaths.append(agent.process.returncode)
                agent.start()

    keeper = threading.Thread(target=start_again)
    keeper.start()
    try:
        job = worked(operations.deploy(service, publish("1.0.0"), by="ci"))
    finally:
        is_over.set()
        keeper.join()

    assert job.status == Job.Status.SUCCEEDED, job.error
    assert deaths == [-signal.SIGKILL] * 3
    assert installed(agent.root) == "1.0.0"


class Proxy:
    """Forwards connections while ``is_open``; bytes of open ones wait, too, as in a network that is split."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.is_open = threading.Event()
        self.is_open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for source, to in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, to), daemon=True).start()

    def _forward(self, source: socket.socket, to: socket.socket) -> None:
        with closing(source), closing(to):
            try:
                while data := source.recv(65536):
                    self.is_open.wait()
                    to.sendall(data)
                to.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def close(self) -> None:
        self.is_open.set()
        self._listener.close()


def test_job_goes_on_after_a_partition_that_outlasts_the_belief_in_its_agent(
    tmp_path: Path,
    live_server: Any,
    service: Service,
    target: Target,
    publish: Announce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "RUNG_EVERY", dt.timedelta(seconds=0))
    proxy = Proxy(int(live_server.url.rsplit(":", 1)[1]))
    agent = AgentProcess(tmp_path / "agent", proxy.url)
    assert agent.join() == 0
    agent.allow(slow=["/bin/sh", "-c", 'touch "$SAGA_INSTALL_ROOT/begun"; sleep 2'])
    target.hooks = {"before_switch": {"command": "slow"}}
    target.save()
    agent.start()
    try:
        job = operations.deploy(service, publish("1.0.0"), by="ci")
        thread = _in_thread(lambda: worked(job))
        waiting.until((agent.root / "begun").exists, seconds=60)
        proxy.is_open.clear()
        waiting.until(_is_given_up, seconds=60)
        proxy.is_open.set()
        thread.join(120)
    finally:
        agent.kill()
        proxy.close()
        until_polls_ended()

    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED, job.error
    assert installed(agent.root) == "1.0.0"
    assert max(job.steps.values_list("runs", flat=True)) == 1


def _is_given_up() -> bool:
    """Let the belief in the agent end, as it does 30 seconds after its last word: no order waits for it then.

    A word that was on its way when the partition began is forgotten as well.
    """
    nodes.forget_agent("web1")
    return not NodeOrder.objects.exists()


def _in_thread(call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_job_waits_for_an_agent_that_is_away_and_gives_its_node_up_in_the_end(
    agent: AgentProcess,
    service: Service,
    target: Target,
    publish: Announce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = operations.deploy(service, publish("1.0.0"), by="ci")

    runner.run(job.pk, node="local")
    job.refresh_from_db()
    waits = (job.status, job.lease_owner)
    monkeypatch.setattr(recovery, "NODE_DEADLINE", dt.timedelta(seconds=-1))
    monkeypatch.setattr(recovery, "RUNG_EVERY", dt.timedelta(seconds=0))
    worked(job)

    assert waits == (Job.Status.RUNNING, "")
    assert job.status == Job.Status.FAILED
    assert "No worker of node 'web1'" in job.error


def test_what_the_host_does_not_allow_is_refused(
    agent: AgentProcess, service: Service, target: Target, publish: Announce, tmp_path: Path
) -> None:
    agent.allow()
    agent.start()
    until_alive()
    target.install_root = str(tmp_path / "elsewhere")
    target.save()
    outside = worked(operations.deploy(service, publish("1.0.0"), by="ci"))
    target.install_root, target.hooks = "", {"before_switch": {"command": "unknown"}}
    target.save()
    unknown = worked(operations.deploy(service, publish("1.1.0"), by="ci"))

    assert "does not allow the folder" in outside.error
    assert "no command named 'unknown'" in unknown.error
    assert not (tmp_path / "elsewhere").exists()


def test_revoked_node_works_no_more(
    agent: AgentProcess, service: Service, target: Target, publish: Announce
) -> None:
    agent.start()
    until_alive()

    enrolment.revoke("web1", by=STAFF, now=timezone.now())
    job = operations.deploy(service, publish("1.0.0"), by="ci")
    runner.run(job.pk, node="local")
    job.refresh_from_db()

    assert not nodes.has_worker("web1")
    assert not NodeOrder.objects.exists()
    assert job.status == Job.Status.RUNNING
