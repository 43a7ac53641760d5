"""Deployments by an agent that is killed in each step, or cut off from Saga, until each has ended.

An agent is a process of its own: it dies by SIGKILL at a boundary of each step and starts again, as systemd
has it do. A partition holds back each byte in both directions, for lengths around the 30 seconds after
which an agent is believed to be away. One that falls on the health gate may end in a rollback.
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
from tests import faults
from tests.updates.rollouts import agent_hosts, crashing, dying_agent, scenes
from updates import operations
from updates.artifacts.installers import manifests
from updates.models import HistoryEntry, Job, Target
from updates.rollouts import recovery, runner

LENGTHS_SECONDS = (1.0, 5.0, 15.0, 35.0, 70.0)
DEADLINE_SECONDS = 300.0
#: A step that is long enough for a partition to begin in it.
SLOW = ["/bin/sh", "-c", "sleep 2"]


@dataclass
class Endings:
    """What came of the deployments."""

    deployments: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    partitions: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Host:
    """A service on the node ``web1``: its health URL says what the agent's disk has."""

    scene: scenes.Scene
    agent: agent_hosts.AgentProcess
    service: Service
    may_roll_back: bool = False
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
        if self.may_roll_back:
            expected.add(Job.Status.ROLLED_BACK)
        if job.status not in expected:
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
    with _served() as port, scenes.opened(folder / "scene") as scene:
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


def cut_off(folder: Path, *, rounds: int) -> list[str]:
    """Deploy while the agent is cut off from Saga for a while, from a moment within a step on."""
    presence.mark_filled()
    endings = Endings()
    plans = list(itertools.product(range(rounds), LENGTHS_SECONDS, ("good", "bad")))
    with (
        _served() as port,
        scenes.opened(folder / "scene") as scene,
        faults.FaultProxy("127.0.0.1", port).running() as proxy,
    ):
        host = _host(folder / "agent", scene, f"http://127.0.0.1:{proxy.port}")
        host.may_roll_back = True
        host.service.targets.update(hooks={"before_switch": {"command": "slow"}})
        host.agent.start()
        try:
            _settle(host, endings, "good-0")
            for number, (_, seconds, kind) in enumerate(plans, start=1):
                timer = threading.Timer(1.0, _part, args=(proxy, seconds))
                timer.start()
                endings.partitions += 1
                _settle(host, endings, f"{kind}-{number}")
                timer.join()
        finally:
            host.agent.kill()
    return _report(endings)


def _part(proxy: faults.FaultProxy, seconds: float) -> None:
    proxy.freeze()
    time.sleep(seconds)
    proxy.thaw()


@contextmanager
def _served() -> Iterator[int]:
    """Serve the API in threads of this process; yield the port."""
    server = basehttp.ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
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
    agent.allow(slow=SLOW)
    service = ensure_service(f"shop-{folder.name}")
    Target.objects.create(
        service=service,
        name="web",
        node="web1",
        health_url=f"{scene.base_url}/health/shop/0",
        health_successes=1,
        healthy_deadline_seconds=0,
    )
    host = Host(scene=scene, agent=agent, service=service)
    scene.running = lambda _service, _number: crashing.current(host.root)
    return host


def _settle(host: Host, endings: Endings, version: str) -> None:
    """Deploy a version and work on the job, as any worker and the sweep do, until it has ended."""
    is_alone = host.agent.process is None
    if is_alone:
        host.agent.start()
    job = host.deploy(version)
    began_at = time.monotonic()
    endings.deployments += 1
    while job.status in Job.LIVE and time.monotonic() - began_at < DEADLINE_SECONDS:
        recovery.sweep()
        runner.run(job.pk, node="local")
        job.refresh_from_db()
        time.sleep(0.1)
    endings.seconds.append(time.monotonic() - began_at)
    if fault := host.check(job):
        endings.faults.append(f"{job.job_id}: {fault}")
    if is_alone:
        host.agent.kill()
    print(
        f"\r{endings.deployments} deployments, {len(endings.faults)} wrong ends", end="", flush=True
    )


def _report(endings: Endings) -> list[str]:
    print(f"\n{endings.deployments} deployments, {endings.kills.total()} kills, ", end="")
    print(f"{endings.partitions} partitions, {len(endings.faults)} wrong ends; ", end="")
    print(f"the longest took {max(endings.seconds):.0f} s")
    for name, count in sorted(endings.kills.items()):
        print(f"  {name:<32}{count:>5}")
    for fault in endings.faults:
        print(f"  {fault}")
    return endings.faults
