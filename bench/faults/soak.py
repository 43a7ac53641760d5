"""Whether a stack that works for long grows: memory, descriptors and connections while clients call.

    python -m bench.faults.soak --minutes 30

The clients of the fault campaigns send heartbeats, look up and report, a subscriber is notified, and a
service dies every ten seconds. After the first five minutes, in which caches fill, nothing may grow by more
than a tenth; the history is checked as in a campaign. Exit status 1 where something grew or a promise was
broken.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields

import psutil
import redis as redis_library

from bench import idle
from bench.faults import history as histories
from tests import stack as stacks

SAMPLE_EVERY_SECONDS = 10.0
WARM_UP_MINUTES = 5.0
#: What the samples of the last fifth may have more than those of the first fifth.
GROWTH = 1.10
#: A few of them come and go.
SLACK = {
    "memory_bytes": 5 * 2**20,
    "descriptors": 10,
    "database_connections": 3,
    "redis_connections": 3,
}


@dataclass(frozen=True)
class Sample:
    """All processes of the stack together; memory is proportional, without PostgreSQL's own."""

    memory_bytes: int
    descriptors: int
    database_connections: int
    redis_connections: int


def measure(stack: stacks.Stack) -> Sample:
    memory = descriptors = sessions = 0
    for process in idle.family(stack):
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "postgres" in line:
                sessions += " saga saga " in line
                continue
            memory += process.memory_full_info().pss
            descriptors += process.num_fds()
    return Sample(memory, descriptors, sessions, _redis_connections(stack))


def _redis_connections(stack: stacks.Stack) -> int:
    shell = "from django.conf import settings; print(settings.REDIS_URL)"
    if stack not in _urls:
        _urls[stack] = stack.manage("shell", "-v", "0", "-c", shell)
    with redis_library.Redis.from_url(_urls[stack]) as client:
        return int(client.info("clients")["connected_clients"])


_urls: dict[stacks.Stack, str] = {}


def growth(samples: Sequence[Sample]) -> list[str]:
    """Return what the last fifth of the samples has more of than the first fifth."""
    fifth = max(1, len(samples) // 5)
    found = []
    for each in fields(Sample):
        values = [getattr(sample, each.name) for sample in samples]
        first, last = statistics.median(values[:fifth]), statistics.median(values[-fifth:])
        print(f"{each.name:22} {first:14,.0f} {last:14,.0f}")
        if last > first * GROWTH + SLACK[each.name]:
            found.append(f"{each.name} grew from {first:,.0f} to {last:,.0f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes: float = parser.parse_args().minutes
    samples: list[Sample] = []
    with closing(histories.Receiver()) as receiver, stacks.running() as stack:
        history = histories.History(stack, receiver)
        history.begin()
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < 60 * minutes:
            dying = f"dying-{len(samples)}-{int(elapsed)}"
            history.register(dying)
            history.dying.append(dying)
            time.sleep(SAMPLE_EVERY_SECONDS)
            if elapsed >= 60 * min(WARM_UP_MINUTES, minutes / 4):
                samples.append(measure(stack))
        found = history.check()
        history.end()
    found += growth(samples)
    count = sum(history.statuses.values())
    print(f"{minutes:.0f} minutes, {count} calls {dict(history.statuses)}, {len(found)} faults")
    for fault in found:
        print(f"FAULT {fault}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
