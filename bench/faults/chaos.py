"""A fault campaign on one host: processes are killed and frozen under clients whose history is checked.

    make chaos ARGS="--seed 7 --minutes 60"

The seed decides the order of the faults. Each fault ends, the time until all is well again is measured, and
the next one follows. At the end the promises are checked on the history (``bench/faults/history.py``): no
living service is refused or lost, no dead one stays, a keyed call acts once, what was acknowledged is kept
and delivered, and an outage is 503. Exit status 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import redis as redis_library

from bench.faults import clocked_stack, hosts
from bench.faults import history as histories
from bench.faults.injecting import Fault, Injection
from tests import stack as stacks
from tests import stalls, waiting

FREEZE_SECONDS = (1.0, 8.0)
CLOCK_STEP_SECONDS = (10, 3600)
KINDS: dict[str, Sequence[str]] = {
    "web": ("uvicorn",),
    "sweeps": ("saga_project sweep",),
    "worker": ("celery", "worker@"),
    "delivery": ("celery", "delivery@"),
    "beat": ("celery", "beat"),
    "Redis": ("valkey-server",),
    "PostgreSQL": ("postgres",),
}


class Campaign(Injection):
    """Injects faults into one stack, as a seed says."""

    def __init__(
        self,
        stack: stacks.Stack,
        history: histories.History,
        *,
        seed: int,
        clock: Path | None = None,
    ) -> None:
        self._stack = stack
        self._history = history
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 (repeatable, not secret)
        shell = "from django.conf import settings; print(settings.REDIS_URL)"
        self._redis = redis_library.Redis.from_url(stack.manage("shell", "-v", "0", "-c", shell))
        self.faults: dict[str, Fault] = {
            **{f"kill -9 {kind}": partial(self._kill, words) for kind, words in KINDS.items()},
            **{f"SIGSTOP {kind}": partial(self._freeze, words) for kind, words in KINDS.items()},
            "CLIENT PAUSE": self._pause_redis,
            "SIGHUP": self._reload,
        }
        if clock is not None:
            self.faults |= {
                "clock of Redis forward": partial(self._set_clock, 1),
                "clock of Redis back": partial(self._set_clock, -1),
            }

    def _kill(self, words: Sequence[str]) -> None:
        """Kill one of the web processes, or the one process of another kind."""
        victims = self._stack.processes(*words)
        if victims:
            victim = self._random.choice(sorted(victims, key=lambda each: each.pid))
            victim.kill()
            waiting.until_ended([victim])

    def _freeze(self, words: Sequence[str]) -> None:
        """Freeze every process of a kind, with its children, for a while."""
        family: dict[int, psutil.Process] = {}
        for process in self._stack.processes(*words):
            family |= {each.pid: each for each in [process, *process.children(recursive=True)]}
        for each in family.values():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now
                each.suspend()
        time.sleep(self._random.uniform(*FREEZE_SECONDS))
        for each in family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()

    def _pause_redis(self) -> None:
        seconds = self._random.uniform(1.0, 12.0)
        self._redis.client_pause(int(seconds * 1000))
        time.sleep(seconds)

    def _set_clock(self, sign: int) -> None:
        """Set the clock of Redis forward or back, by up to an hour, from where it is."""
        assert self._clock  # noqa: S101 (else there is no such fault)
        seconds = sign * self._random.randint(*CLOCK_STEP_SECONDS)
        self._clock.write_text(f"{int(self._clock.read_text()) + seconds:+d}")
        time.sleep(2 * clocked_stack.NOTICED_SECONDS)

    def _reload(self) -> None:
        assert self._stack.launcher  # noqa: S101 (it was started)
        count = self._stack.log().count(b"| reloaded")
        self._stack.launcher.send_signal(signal.SIGHUP)
        waiting.until(lambda: self._stack.log().count(b"| reloaded") > count, seconds=180)

    def describe(self) -> object:
        return self._stack.call("GET", stalls.HEALTH), self._missing()

    def _missing(self) -> list[str]:
        return [kind for kind, words in KINDS.items() if not self._stack.processes(*words)]

    def is_well(self) -> bool:
        """Everything runs and answers, a sweep ran a moment ago, and a call that writes succeeds."""
        return (
            not self._missing()
            and stalls.is_sweeping(self._stack)
            and stalls.is_healthy(self._stack)
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--hosts",
        type=int,
        metavar="FAULTS",
        help="so many faults on several hosts, in network namespaces, instead of one host",
    )
    arguments = parser.parse_args()
    if arguments.hosts:
        hosts.run(faults=arguments.hosts, seed=arguments.seed, minutes=arguments.minutes)
    seconds: dict[str, list[float]] = defaultdict(list)
    with (
        closing(histories.Receiver()) as receiver,
        clocked_stack.clock() as clock,
        stacks.running(clocked_stack.__name__, **clocked_stack.variables(clock)) as stack,
    ):
        history = histories.History(stack, receiver)
        campaign = Campaign(stack, history, seed=arguments.seed, clock=clock)
        history.begin()
        deadline = time.monotonic() + 60 * arguments.minutes
        number = 0
        while time.monotonic() < deadline:
            number += 1
            name, recovery = campaign.step(number)
            seconds[name].append(recovery)
            print(f"{number:4} {name:20} well again after {recovery:5.1f} s", flush=True)
        found = history.check()
        history.end()
    histories.report(seconds, history, found, seed=arguments.seed)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
