"""Nodes with an agent: another process does the steps, by orders over HTTP, and may be killed at any line."""

from __future__ import annotations

import datetime as dt
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from registry.models import Service
from saga_project import __version__
from saga_project.agent import units
from tests import faults, waiting
from tests.updates.rollouts import dying_agent
from tests.updates.rollouts.agent_hosts import (
    STAFF,
    AgentProcess,
    until_alive,
)
from tests.updates.rollouts.conftest import Announce, installed
from updates import operations
from updates.artifacts.installers import manifests
from updates.models import Job, Node, NodeOrder, Target
from updates.operations import nodes as enrolment
from updates.rollouts import nodes, recovery, runner

pytestmark = pytest.mark.usefixtures("redis")


@pytest.fixture
def agent(tmp_path: Path, live_server: Any, transactional_db: None) -> Iterator[AgentProcess]:
    running = AgentProcess(tmp_path / "agent", live_server.url)
    assert running.join() == 0
    yield running
    running.kill()
    running.until_polls_ended()


@pytest.fixture
def proxy(live_server: Any, transactional_db: None) -> Iterator[faults.FaultProxy]:
    with faults.FaultProxy("127.0.0.1", int(live_server.url.rpartition(":")[2])).running() as proxy:
        yield proxy


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
    assert facts["agent"] == __version__


def healthy_unless_bad(agent: AgentProcess, httpserver: HTTPServer) -> str:
    """Return a health URL that answers 500 while the agent's disk has a version that begins with ``bad``."""

    def answer(_: Request) -> Response:
        version = installed(agent.root) or "bad"
        return Response(status=500 if version.startswith("bad") else 200)

    httpserver.expect_request("/health").respond_with_handler(answer)
    return httpserver.url_for("/health")


def test_agent_that_is_killed_in_each_step_at_a_boundary_in_turn_does_no_harm(
    agent: AgentProcess,
    service: Service,
    target: Target,
    publish: Announce,
    httpserver: HTTPServer,
) -> None:
    target.health_url, target.health_successes = healthy_unless_bad(agent, httpserver), 1
    target.healthy_deadline_seconds = 0
    target.save()
    agent.start_dying(first=0, seed=1)
    try:
        good = worked(operations.deploy(service, publish("1.0.0"), by="ci"))
        bad = worked(operations.deploy(service, publish("bad-2"), by="ci"))
    finally:
        agent.end()

    assert (good.status, bad.status) == (Job.Status.SUCCEEDED, Job.Status.ROLLED_BACK), bad.error
    assert installed(agent.root) == "1.0.0"
    fault = manifests.fault(
        manifests.read(agent.root / "manifests" / "1.0.0.json"),
        agent.root / "current",
        lambda: None,
    )
    assert fault is None
    assert not [*agent.root.rglob(".part-*"), *agent.root.rglob(".trash-*")]
    assert {boundary for _, boundary in agent.deaths()} == set(dying_agent.BOUNDARIES)
    assert {"fetch", "unpack", "switch", "restore"} <= {action for action, _ in agent.deaths()}
    assert max(bad.steps.values_list("runs", flat=True)) == 1


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


def test_job_goes_on_after_a_partition_that_outlasts_the_belief_in_its_agent(
    tmp_path: Path,
    proxy: faults.FaultProxy,
    service: Service,
    target: Target,
    publish: Announce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "RUNG_EVERY", dt.timedelta(seconds=0))
    agent = AgentProcess(tmp_path / "agent", f"http://127.0.0.1:{proxy.port}")
    assert agent.join() == 0
    agent.allow(slow=["/bin/sh", "-c", 'touch "$SAGA_INSTALL_ROOT/begun"; sleep 2'])
    target.hooks = {"before_switch": {"command": "slow"}}
    target.save()
    agent.start()
    try:
        job = operations.deploy(service, publish("1.0.0"), by="ci")
        thread = _in_thread(lambda: worked(job))
        waiting.until((agent.root / "begun").exists, seconds=60)
        proxy.freeze()
        waiting.until(_is_given_up, seconds=60)
        proxy.thaw()
        thread.join(120)
    finally:
        agent.kill()
        proxy.thaw()
        agent.until_polls_ended()

    job.refresh_from_db()
    assert job.status == Job.Status.SUCCEEDED, job.error
    assert installed(agent.root) == "1.0.0"
    assert max(job.steps.values_list("runs", flat=True)) == 1


def _is_given_up() -> bool:
    """Make the agent lost, as it is 30 seconds after its last poll: no order waits for it then.

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


def test_agent_registers_a_service_of_its_targets_by_the_nodes_token(
    agent: AgentProcess, service: Service, target: Target
) -> None:
    named = f'[[services]]\nname = "{service.name}"\nurl = "http://10.0.0.5:9000"\nttl = 5\n'
    (agent.folder / "agent.toml").write_text(named)

    agent.start()

    live = service.instances.live()
    waiting.until(live.exists, seconds=60)
    instance = live.get()
    assert (instance.instance_id, instance.url) == ("web1:9000", "http://10.0.0.5:9000")


def test_revocation_ends_the_agent_in_the_middle_of_a_step(
    agent: AgentProcess, service: Service, target: Target, publish: Announce, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    agent.allow(slow=["/bin/sh", "-c", f"touch {begun}; exec sleep 600"])
    agent.start()
    until_alive()
    target.hooks = {"before_switch": {"command": "slow", "timeout_seconds": 600}}
    target.save()
    job = operations.deploy(service, publish("1.0.0"), by="ci")
    worker = threading.Thread(target=in_thread, args=(lambda: runner.run(job.pk, node="local"),))
    worker.start()
    waiting.until(begun.exists, seconds=60)

    enrolment.revoke("web1", by=STAFF, now=timezone.now())

    assert agent.process is not None
    assert agent.process.wait(60) == units.TOKEN_ENDED
    worker.join(60)
    assert not (agent.root / "current").exists()
    assert not NodeOrder.objects.exists()


def in_thread(act: Callable[[], object]) -> None:
    try:
        act()
    finally:
        connections.close_all()


def test_revocation_ends_an_agent_that_waits(agent: AgentProcess) -> None:
    agent.start()
    until_alive()

    enrolment.revoke("web1", by=STAFF, now=timezone.now())

    assert agent.process is not None
    assert agent.process.wait(60) == units.TOKEN_ENDED
