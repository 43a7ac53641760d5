"""A fault campaign on several hosts: cables are pulled, links cut, hosts switched off without goodbye.

    make chaos ARGS="--hosts 200 --seed 7"

Sets up the hosts of ``docs/high-availability.md`` in network namespaces (as root, with HAProxy, PostgreSQL
and Redis installed), and injects so many faults in an order that the seed decides, while clients call through
the load balancer. Each fault is healed, the time until all is well again is measured, and the next one
follows. At the end the promises are checked on the history, as on one host.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from bench.faults import history as histories
from bench.faults import network, walkthrough
from bench.faults.injecting import Fault, Injection
from tests import stalls, waiting

PATIENCE_SECONDS = 180.0
OUTAGE_SECONDS = (0.5, 8.0)
#: Without the load balancer no heartbeat arrives: it must be back before a TTL is over.
BALANCER_OUTAGE_SECONDS = (0.5, 3.0)
TTL_SECONDS = 45
CALL_SECONDS = 5.0
#: The load balancer answers so itself where a host broke off: the call is unanswered.
UNANSWERED = frozenset({502, 504})
LINKS = (
    *((web, server) for web in walkthrough.WEB_HOSTS for server in ("db", "redis", "lb")),
    *((node, server) for node in walkthrough.NODE_HOSTS for server in ("db", "redis")),
)


class Service:
    """Saga as its clients see it: through the load balancer, with a token."""

    def __init__(self, hosts: walkthrough.Hosts) -> None:
        self._hosts = hosts

    def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        return self.call_at(self._hosts.by_name["lb"].address, 80, method, path, body, headers)

    def call_at(
        self,
        address: str,
        port: int,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return status and JSON of one answer; status 0 where there was none."""
        connection = http.client.HTTPConnection(address, port, timeout=CALL_SECONDS)
        raw = None if body is None else json.dumps(body)
        sent = {
            "Host": walkthrough.PUBLIC_HOST,
            "Authorization": f"Bearer {self._hosts.token}",
            **({"Content-Type": "application/json"} if raw else {}),
            **(headers or {}),
        }
        try:
            connection.request(method, path, body=raw, headers=sent)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        if response.status in UNANSWERED:
            return 0, None
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json and text else None


class Campaign(Injection):
    """Injects faults into the hosts, as a seed says."""

    patience_seconds = PATIENCE_SECONDS
    pause_seconds = 0.3

    def __init__(
        self, hosts: walkthrough.Hosts, service: Service, history: histories.History, *, seed: int
    ) -> None:
        self._hosts = hosts.by_name
        self._service = service
        self._history = history
        self._random = random.Random(seed)  # noqa: S311 (repeatable, not secret)
        self.faults: dict[str, Fault] = {
            **{f"switch off {name}": partial(self._switch_off, name) for name in self._hosts},
            **{f"cable of {name}": partial(self._pull_cable, name) for name in self._hosts},
            **{f"link {one} - {other}": partial(self._cut, one, other) for one, other in LINKS},
        }

    def _outage(self, name: str = "") -> None:
        limits = BALANCER_OUTAGE_SECONDS if name == "lb" else OUTAGE_SECONDS
        time.sleep(self._random.uniform(*limits))

    def _switch_off(self, name: str) -> None:
        host = self._hosts[name]
        host.power_off()
        self._outage(name)
        host.power_on()

    def _pull_cable(self, name: str) -> None:
        host = self._hosts[name]
        host.unplug()
        self._outage(name)
        host.plug_in()

    def _cut(self, one: str, other: str) -> None:
        """Cut a link between two hosts, in one direction or in both."""
        pairs = [(self._hosts[one], self._hosts[other]), (self._hosts[other], self._hosts[one])]
        chosen = self._random.choice([pairs[:1], pairs[1:], pairs])
        for sender, receiver in chosen:
            sender.lose(receiver)
        self._outage()
        for sender, receiver in chosen:
            sender.find(receiver)

    def describe(self) -> object:
        return [self._health(web) for web in walkthrough.WEB_HOSTS]

    def is_well(self) -> bool:
        """Whether both web hosts are healthy, sweeps run, and the balancer answers."""
        answers = [self._health(web) for web in walkthrough.WEB_HOSTS]
        return (
            all(_is_healthy(*each) for each in answers)
            and self._service.call("GET", stalls.HEALTH)[0] == 200
        )

    def _health(self, web: str) -> tuple[int, Any]:
        return self._service.call_at(self._hosts[web].address, 8030, "GET", stalls.HEALTH)


def _is_healthy(status: int, body: Any) -> bool:
    if status != 200 or body["status"] != "healthy":
        return False
    lag_seconds = body["protection"]["sweep_lag_seconds"]
    return lag_seconds is not None and lag_seconds < stalls.STALL_SECONDS


def run(*, faults: int, seed: int, minutes: float) -> None:
    """Run the campaign and end this process: with status 1 where a promise was broken."""
    if lacking := walkthrough.missing():
        sys.exit(f"Not installed: {', '.join(lacking)}.")
    network.enter()
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="saga-hosts-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        hosts = walkthrough.Hosts(folder)
        hosts.set_up()
        service = Service(hosts)
        with closing(histories.Receiver(network.OWN_ADDRESS)) as receiver:
            history = histories.History(service, receiver, ttl_seconds=TTL_SECONDS)
            campaign = Campaign(hosts, service, history, seed=seed)
            waiting.until(campaign.is_well, seconds=PATIENCE_SECONDS, pause_seconds=0.3)
            history.begin()
            deadline = time.monotonic() + 60 * minutes
            for number in range(1, faults + 1):
                if time.monotonic() > deadline:
                    break
                fault, recovery = campaign.step(number)
                seconds[fault].append(recovery)
                print(f"{number:4} {fault:24} well again after {recovery:5.1f} s", flush=True)
            found = history.check()
            history.end()
        histories.report(seconds, history, found, seed=seed)
        for host in hosts.by_name.values():
            host.power_off()
    sys.exit(bool(found))
