"""Deployments by agents on hosts of their own, with partitions between an agent and Saga of every length.

Each host is a network namespace with a cable to one switch (bench.faults.network); Saga and the host of the
artifacts are at 10.0.0.1. A lane is a host and one kind of partition: the cable pulled, or one direction
lost. The lengths begin below the 30 seconds of a lease, after which an agent ends its step and is believed
to be away, and go past the 90 seconds after which its job gives the node up and an order expires. The
partitions of a lane begin in its steps in turn: while the step before it is under way, or before the
deployment.

A good version must be deployed through a partition that is shorter than these 90 seconds, but for one that
falls on a health gate. A bad one must be rolled back, in each case, and so must a good one that was given up
after its switch began; a job that was given up before that must fail and have changed nothing.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection
from django.utils import timezone

from bench.faults import agents, network
from registry import presence
from tests import waiting
from tests.updates.rollouts import agent_hosts, scenes
from updates.models import Job, NodeOrder
from updates.operations import nodes as enrolment
from updates.rollouts import nodes
from updates.rollouts.strategies import Action

LENGTHS_SECONDS = (1.0, 10.0, 25.0, 35.0, 50.0, 75.0, 100.0, 130.0)
#: Away for this long, a node may be given up: what it was believed, and how long its job waits for it.
GIVEN_UP_SECONDS = 88.0
#: The n-th step of the job that begins, in an order that mixes them with the lengths; 0: before the job.
BEGINNINGS = (5, 0, 8, 1, 6, 3, 9, 2, 7, 4)


@dataclass
class Partition:
    """One partition of a deployment, and when it was."""

    seconds: float
    beginning: int
    cut: Callable[[], None]
    heal: Callable[[], None]
    began_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    step: str = "before the job"

    def happen(self, job: Job) -> None:
        """Cut, once the step has begun; a job that has fewer steps ends without a partition."""
        try:
            while job.steps.filter(started_at__isnull=False).count() < self.beginning:
                if not Job.objects.filter(pk=job.pk, status__in=Job.LIVE).exists():
                    return
                time.sleep(0.05)
            self.begin()
            begun = job.steps.filter(started_at__isnull=False).order_by("position").last()
            self.step = begun.name if begun else self.step
            self.end_in_time()
        finally:
            connection.close()

    def begin(self) -> None:
        self.cut()
        self.began_at = timezone.now()

    def end_in_time(self) -> None:
        time.sleep(self.seconds)
        self.heal()
        self.ended_at = timezone.now()

    def has_hit_gate(self, job: Job) -> bool:
        """Whether a health gate was open while the host was cut off."""
        gates = job.steps.filter(name=Action.HEALTH, started_at__lt=self.ended_at)
        return gates.exclude(finished_at__lt=self.began_at).exists()

    def endings_of(self, job: Job) -> set[str]:
        """Return what may come of the job beside what comes of it without a partition."""
        if self.ended_at is None:
            return set()
        is_given_up = self.seconds > GIVEN_UP_SECONDS
        is_touched = job.steps.filter(name=Action.SWITCH, started_at__isnull=False).exists()
        if is_given_up and not is_touched:
            return {Job.Status.FAILED}  # with nothing to take back
        return {Job.Status.ROLLED_BACK} if is_given_up or self.has_hit_gate(job) else set()


@dataclass
class Lane:
    """A host with an agent, and one kind of partition."""

    name: str
    host: network.Host
    deployed: agents.Host
    cut: Callable[[], None]
    heal: Callable[[], None]
    seconds: list[float] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def work(self, plans: Iterator[tuple[float, str, int]]) -> None:
        try:
            self._settle("good-0", None)
            for number, (seconds, kind, beginning) in enumerate(plans, start=1):
                partition = Partition(seconds, beginning, self.cut, self.heal)
                self._settle(f"{kind}-{number}", partition)
        except Exception as exc:  # noqa: BLE001 (the lanes beside it go on)
            self.faults.append(f"{self.name}: {exc!r}")
        finally:
            connection.close()

    def _settle(self, version: str, partition: Partition | None) -> None:
        """Deploy, with a partition meanwhile, and hold the end against what it may be."""
        waiting.until(lambda: nodes.has_worker(self.host.name), seconds=60)
        if partition and partition.beginning == 0:
            partition.begin()
        job = self.deployed.deploy(version)
        timer = None
        if partition:
            happen = partition.end_in_time if partition.began_at else partition.happen
            timer = threading.Thread(target=happen, args=() if partition.began_at else (job,))
            timer.start()
        began_at = time.monotonic()
        agents.work_off(job)
        self.seconds.append(time.monotonic() - began_at)
        if timer:
            timer.join()
        self.deployed.may_end = partition.endings_of(job) if partition else set()
        self._hold(job, partition)

    def _hold(self, job: Job, partition: Partition | None) -> None:
        fault = self.deployed.check(job)
        if not fault and NodeOrder.objects.filter(node__name=self.host.name).exists():
            fault = "an order is left"
        about = ""
        if partition and partition.ended_at:
            self.steps.append(partition.step)
            about = f"{partition.seconds:.0f} s from {partition.step!r} on"
        if fault:
            self.faults.append(f"{self.name}, {job.version}, {about}: {fault}")
        taken = f"{self.seconds[-1]:.0f} s"
        print(f"{self.name:<16} {job.version:<8} {job.status:<12} {taken:>6}  {about} {fault}")
        sys.stdout.flush()


def cut_off(folder: Path, *, rounds: int) -> list[str]:
    """Deploy good and bad versions while the agent's host is cut off from Saga for a while."""
    presence.mark_filled()
    with ExitStack() as stack:
        port = stack.enter_context(agents.served(network.OWN_ADDRESS))
        server = f"http://{network.OWN_ADDRESS}:{port}"
        lanes = [
            _lane(number, name, folder, server, stack)
            for number, name in enumerate(("cable", "agent to Saga", "Saga to agent"))
        ]
        threads = [
            threading.Thread(target=lane.work, args=(_plans(number, rounds),))
            for number, lane in enumerate(lanes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _report(lanes)


def _plans(lane: int, rounds: int) -> Iterator[tuple[float, str, int]]:
    """Yield length, kind and beginning; each lane begins in other steps, and with another length."""
    beginnings = itertools.islice(itertools.cycle(BEGINNINGS), 3 * lane, None)
    lengths = LENGTHS_SECONDS[2 * lane :] + LENGTHS_SECONDS[: 2 * lane]
    plans = itertools.product(range(rounds), ("good", "bad"), lengths)
    for (_, kind, seconds), beginning in zip(plans, beginnings, strict=False):
        yield seconds, kind, beginning


def _lane(number: int, name: str, folder: Path, server: str, stack: ExitStack) -> Lane:
    node, place = f"web{number + 1}", folder / f"web{number + 1}"
    place.mkdir()
    scene = stack.enter_context(scenes.opened(place / "scene", address=network.OWN_ADDRESS))
    agent = agent_hosts.AgentProcess(place / "agent", server)
    root = agent_hosts.ROOT
    words = ("-m saga_project.agent run --insecure-http", f"--server {server}")
    host = network.Host(
        name=node,
        address=f"10.0.0.{number + 2}",
        # Not a fork of the first process, which loads the control plane.
        programs={
            "agent": f"/usr/bin/env {sys.executable} {' '.join(words)} --folder {agent.folder}"
        },
        environment={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "clients" / "python" / "src")]),
            "SAGA_JOIN_TOKEN": enrolment.make_join_token(
                node, hours=1, is_approving=True, by=agent_hosts.STAFF, now=timezone.now()
            ),
        },
        log=place / "log",
    )
    deployed = agents.of_agent(agent, scene, node=node, name=f"shop-{node}")
    host.power_on()
    stack.callback(host.power_off)
    cut, heal = _partition_of(name, host)
    return Lane(name, host, deployed, cut, heal)


def _partition_of(name: str, host: network.Host) -> tuple[Callable[[], None], Callable[[], None]]:
    if name == "cable":
        return host.unplug, host.plug_in
    saga = network.Host("saga", network.OWN_ADDRESS, {}, {}, host.log)
    if name == "agent to Saga":
        return lambda: host.lose(saga), lambda: host.find(saga)
    # fmt: off
    return (
        lambda: network.ip("neighbour", "replace", host.address, "lladdr", network.NOWHERE, "nud",
                           "permanent", "dev", network.SWITCH),
        lambda: network.ip("neighbour", "delete", host.address, "dev", network.SWITCH),
    )
    # fmt: on


def _report(lanes: list[Lane]) -> list[str]:
    faults = [fault for lane in lanes for fault in lane.faults]
    steps = [step for lane in lanes for step in lane.steps]
    print(
        f"{sum(len(lane.seconds) for lane in lanes)} deployments, {len(steps)} partitions, ", end=""
    )
    print(f"{len(faults)} wrong ends; ", end="")
    print(f"the longest took {max(max(lane.seconds, default=0) for lane in lanes):.0f} s")
    for step in sorted(set(steps)):
        print(f"  {step:<32}{steps.count(step):>5}")
    for fault in faults:
        print(f"  {fault}")
    return faults
