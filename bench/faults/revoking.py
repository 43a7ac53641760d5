"""Revocations of nodes whose agents wait, and how long each takes to end what works with the token."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import requests
from django.utils import timezone

from registry import presence
from saga_project.agent.state import AgentState
from tests import waiting, webserver
from tests.updates.rollouts import agent_hosts
from updates.operations import nodes as enrolment
from updates.rollouts import nodes

#: A report of an order that there is not: only whether the token is refused counts.
REPORT = "/api/v1/agent/orders/00000000-0000-0000-0000-000000000000"
WAIT_SECONDS = 20
SETTLED_SECONDS = 1.0


def revoke_each(folder: Path, number: int) -> list[tuple[float, float, float]]:
    """Return for each revocation the seconds until the poll, the reports and the agent had ended."""
    presence.mark_filled()
    with webserver.serving(SAGA_AUTH="required") as server:
        return [_revoke(folder / str(each), server) for each in range(number)]


def _revoke(folder: Path, server: webserver.WebServer) -> tuple[float, float, float]:
    agent = agent_hosts.AgentProcess(folder, server.url)
    if agent.join():
        raise RuntimeError("the agent did not join")
    identity = AgentState(folder).read_identity()
    if identity is None:
        raise RuntimeError("the agent has no identity")
    headers = {"Authorization": f"Bearer {identity.token}"}
    nodes.forget_agent("web1")
    agent.start()
    waiting.until(lambda: nodes.has_worker("web1"), seconds=60)
    answered: list[float] = []

    def poll() -> None:
        server.post("/api/v1/agent/poll", json={"wait": WAIT_SECONDS}, headers=headers)
        answered.append(time.monotonic())

    waiting_poll = threading.Thread(target=poll)
    waiting_poll.start()
    time.sleep(SETTLED_SECONDS)
    began_at = time.monotonic()
    enrolment.revoke("web1", by=agent_hosts.STAFF, now=timezone.now())
    while server.post(REPORT, json={}, headers=headers).status_code == requests.codes.ok:
        time.sleep(0.01)
    refused_at = time.monotonic()
    if agent.process is None:
        raise RuntimeError("the agent does not run")
    agent.process.wait(60)
    ended_at = time.monotonic()
    waiting_poll.join()
    return answered[0] - began_at, refused_at - began_at, ended_at - began_at
