"""Hosts in namespaces of their own, with a cable each to one switch: what a campaign cuts and kills.

The switch is a bridge in the network namespace of this process, which is 10.0.0.1 itself. A host has
namespaces for network, hostname, processes and mounts, all without a name: they end with their processes.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from saga_project.local import parents

OWN_ADDRESS = "10.0.0.1"
SWITCH = "switch"
NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
#: No host has it: frames to it reach nothing, and nothing says so.
NOWHERE = "02:00:00:00:ff:ff"
UNSHARE = (
    *("unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child"),
    "--mount-proc",
)


def is_possible() -> bool:
    """Whether this process may make namespaces, bridges and cables: as root, with iproute2."""
    command = [*UNSHARE, "ip", "link", "add", SWITCH, "type", "bridge"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def ip(*words: str, at: int | None = None) -> None:
    """Run iproute2 in this process's network namespace, or in that of the process ``at``."""
    inside = [] if at is None else ["nsenter", f"--net=/proc/{at}/ns/net"]
    subprocess.run([*inside, "ip", *words], check=True, capture_output=True)


def enter() -> None:
    """Move this process to a network of its own, with the switch; call it before any thread starts."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    ip("link", "set", "lo", "up")
    ip("link", "add", SWITCH, "type", "bridge", "forward_delay", "0")
    ip("address", "add", f"{OWN_ADDRESS}/24", "dev", SWITCH)
    ip("link", "set", SWITCH, "up")


@dataclass
class Host:
    """One host; ``programs`` are shell commands by name, kept running as a service manager does."""

    name: str
    address: str
    programs: Mapping[str, str]
    environment: Mapping[str, str]
    log: Path
    stale_files: Sequence[Path] = ()
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def _mac(self) -> str:
        """The same after each start, so that no other host keeps an outdated one."""
        return f"02:00:00:00:00:{int(self.address.rpartition('.')[2]):02x}"

    @property
    def pid(self) -> int:
        assert self.process  # noqa: S101 (it is switched on)
        return self.process.pid

    def power_on(self) -> None:
        for path in self.stale_files:  # a boot empties /run
            path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "bench.faults.one_host", str(self.log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=partial(parents.end_with_parent, signal.SIGKILL),  # noqa: PLW1509 (one call)
        )
        assert self.process.stdout is not None  # noqa: S101 (by PIPE)
        assert self.process.stdin is not None  # noqa: S101 (by PIPE)
        self.process.stdout.readline()  # its namespaces are made
        # fmt: off
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "address", self._mac,
           "netns", str(self.pid))
        # fmt: on
        ip("link", "set", "lo", "up", at=self.pid)
        ip("address", "add", f"{self.address}/24", "dev", "eth0", at=self.pid)
        ip("link", "set", "eth0", "up", at=self.pid)
        ip("link", "set", self.name, "master", SWITCH, "up")
        plan = {"name": self.name, "programs": self.programs, "environment": self.environment}
        self.process.stdin.write(json.dumps(plan) + "\n")
        self.process.stdin.flush()

    def power_off(self) -> None:
        """End everything at once, with the cable pulled first: nothing says goodbye."""
        self.unplug()
        assert self.process  # noqa: S101 (it was switched on)
        self.process.kill()  # its child goes with it, and as the first process takes all others along
        self.process.wait()
        # Connections without an answer to their end keep the old network for minutes, without a cable.
        ip("link", "delete", self.name)

    def unplug(self) -> None:
        ip("link", "set", self.name, "nomaster")

    def plug_in(self) -> None:
        ip("link", "set", self.name, "master", SWITCH)

    def lose(self, other: Host) -> None:
        """Send nothing to ``other`` any more; what it sends still arrives."""
        # fmt: off
        ip("neighbour", "replace", other.address, "lladdr", NOWHERE, "nud", "permanent", "dev", "eth0",
           at=self.pid)
        # fmt: on

    def find(self, other: Host) -> None:
        ip("neighbour", "delete", other.address, "dev", "eth0", at=self.pid)

    def run(self, script: str) -> str:
        """Run shell commands on this host and return what they print."""
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--uts=/proc/{self.pid}/ns/uts"]
        done = subprocess.run(
            [*command, "bash", "-euc", script],
            env={**os.environ, **self.environment},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {script}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()
