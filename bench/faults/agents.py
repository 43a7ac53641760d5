"""Deployments by an agent that is killed in each step, until each has ended.

An agent is a process of its own: it dies by SIGKILL at a boundary of each step and starts again, as systemd
has it do.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler

from django.core.servers import basehttp
from django.core.wsgi import get_wsgi_application

from registry import presence
from registry.models import Service
from registry.operations import ensure_service
from tests.updates.rollouts import agent_hosts, crashing, dying_agent, scenes
from updates import operations
from updates.artifacts.installers import manifests
from updates.models import HistoryEntry, Job, Target
from updates.rollouts import recovery, runner

DEADLINE_SECONDS = 300.0
#: A hook and a restart that last long enough for a fault to begin in them.
SLOW, RESTART = ["/bin/sh", "-c", "sleep 1"], ["/bin/sh", "-c", "sleep 0.5"]


@dataclass
class Endings:
    """What came of the deployments."""

    deployments: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Host:
    """A service on the node ``web1``: its health URL says what the agent's disk has."""

    scene: scenes.Scene
    agent: agent_hosts.AgentProcess
    service: Service
    #: What else may come of the next job.
    may_end: set[str] = field(default_factory=set)
    runs: str = ""

    @property
    def root(self) -> Path:
        return self.agent.folder / "services" / self.service.name / "web"

    def deploy(self, version: str) -> Job:
        return operations.deploy(self.service, self.scene.announce(version), by="ci")

    def check(self, job: Job) -> str:
        """Return what is wrong with the end of a job, empty where nothing is."""
        is_good = job.version.startswith("good")
        expected = {Job.Status.SUCCEEDED if is_good else Job.Status.ROLLED_BACK}
        if job.status not in expected | self.may_end:
            return f"{job.status}: {job.error}"
        self.runs = job.version if job.status == Job.Status.SUCCEEDED else self.runs
        root = self.root
        if (found := crashing.current(root)) != self.runs:
            return f"{found} is current, not {self.runs}"
        manifest = manifests.read(root / "manifests" / f"{self.runs}.json")
        if fault := manifests.fault(manifest, root / "current", lambda: None):
            return fault
        if left := [*root.rglob(".part-*"), *root.rglob(".trash-*")]:
            return f"left behind: {left}"
        entries = HistoryEntry.objects.filter(job_id=job.job_id).count()
        return "" if entries == 1 else f"{entries} entries in the history"


def kill_in_each_step(folder: Path, *, rounds: int, seed: int) -> list[str]:
    """Deploy good and bad versions in turn; each step is cut off once, at each boundary in turn."""
    presence.mark_filled()
    endings = Endings()
    with served() as port, scenes.opened(folder / "scene") as scene:
        for first in range(len(dying_agent.BOUNDARIES)):
            host = _host(folder / f"agent-{first}", scene, f"http://127.0.0.1:{port}")
            _settle(host, endings, "good-0")
            host.agent.start_dying(first=first, seed=seed)
            try:
                for number, kind in itertools.product(range(1, rounds + 1), ("good", "bad")):
                    _settle(host, endings, f"{kind}-{first}{number}")
            finally:
                host.agent.end()
            endings.kills.update(f"{action}, {where}" for action, where in host.agent.deaths())
    return _report(endings)


@contextmanager
def served(address: str = "127.0.0.1") -> Iterator[int]:
    """Serve the API in threads of this process; yield the port."""
    server = basehttp.ThreadedWSGIServer((address, 0), _Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def _host(folder: Path, scene: scenes.Scene, url: str) -> Host:
    agent = agent_hosts.AgentProcess(folder, url)
    if agent.join():
        raise RuntimeError("the agent did not join")
    return of_agent(agent, scene, node="web1", name=f"shop-{folder.name}")


def of_agent(agent: agent_hosts.AgentProcess, scene: scenes.Scene, *, node: str, name: str) -> Host:
    """Return the host of an agent, with a target that has hooks and a restart."""
    agent.allow(slow=SLOW, restart=RESTART)
    service = ensure_service(name)
    Target.objects.create(
        service=service,
        name="web",
        node=node,
        hooks={"after_unpack": {"command": "slow"}, "before_switch": {"command": "slow"}},
        restart=Target.Restart.COMMAND,
        restart_with="restart",
        health_url=f"{scene.base_url}/health/shop/0",
        health_successes=1,
        healthy_deadline_seconds=0,
    )
    host = Host(scene=scene, agent=agent, service=service)
    scene.running = lambda _service, _number: crashing.current(host.root)
    return host


def _settle(host: Host, endings: Endings, version: str) -> None:
    """Deploy a version, and hold its end against what is on the disk."""
    is_alone = host.agent.process is None
    if is_alone:
        host.agent.start()
    job = host.deploy(version)
    began_at = time.monotonic()
    endings.deployments += 1
    work_off(job)
    endings.seconds.append(time.monotonic() - began_at)
    if fault := host.check(job):
        endings.faults.append(f"{job.job_id}: {fault}")
    if is_alone:
        host.agent.kill()
    print(
        f"\r{endings.deployments} deployments, {len(endings.faults)} wrong ends", end="", flush=True
    )


def work_off(job: Job) -> None:
    """Work on the job, as any worker and the sweep do, until it has ended."""
    ends_at = time.monotonic() + DEADLINE_SECONDS
    while _is_worked_on(job) and time.monotonic() < ends_at:
        recovery.sweep()
        runner.run(job.pk, node="local")
        job.refresh_from_db()
        time.sleep(0.1)


def _is_worked_on(job: Job) -> bool:
    """Whether the job is to go on, also with a rollback that lacks its node."""
    is_lost = any(entry["is_node_lost"] for entry in job.attention)
    return job.status in Job.LIVE or (job.needs_attention and is_lost)


def _report(endings: Endings) -> list[str]:
    print(f"\n{endings.deployments} deployments, {endings.kills.total()} kills, ", end="")
    print(f"{len(endings.faults)} wrong ends; ", end="")
    print(f"the longest took {max(endings.seconds):.0f} s")
    for name, count in sorted(endings.kills.items()):
        print(f"  {name:<32}{count:>5}")
    for fault in endings.faults:
        print(f"  {fault}")
    return endings.faults
