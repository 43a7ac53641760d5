"""What does not work although everything answers: sweeps, queues, deliveries, a PostgreSQL that only reads.

Pure: figures in, problems out. Thresholds are in seconds of standstill.
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

DEGRADED_AFTER_SECONDS = 5.0
UNHEALTHY_AFTER_SECONDS = 30.0
#: A worker reports every two or three seconds, through a Redis that may stall.
UNCONSUMED_AFTER_SECONDS = 10.0
#: A delivery is woken within five seconds, and a worker may have to start.
UNDELIVERED_AFTER_SECONDS = 15.0
#: What a process that has just started does not know yet may still be on its way up.
START_SECONDS = 10.0


class Level(enum.IntEnum):
    HEALTHY = 0
    DEGRADED = 1
    UNHEALTHY = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Problem:
    """``check`` is one of a few words, ``message`` a sentence that says what to do."""

    check: str
    level: Level
    message: str


@dataclass(frozen=True, kw_only=True)
class HealthInputs:
    """What was read: None where it could not be read, because its server is gone."""

    sweep_lag_seconds: float | None = None
    unconsumed_seconds: Mapping[str, float] = field(default_factory=dict)
    undelivered_seconds: float = 0.0
    is_database_read_only: bool = False


@dataclass
class Memory:
    """The time at which each thing last worked, so that an emptied Redis raises no alarm."""

    started_at: float = field(default_factory=time.monotonic)
    seen_at: dict[str, float] = field(default_factory=dict)

    def silence(self, what: str, reported_seconds: float) -> float:
        """Return for how long ``what`` has been silent, as reported now or as was known before."""
        now = time.monotonic()
        if math.isfinite(reported_seconds):
            self.seen_at[what] = max(self.seen_at.get(what, 0.0), now - reported_seconds)
        known_at = self.seen_at.get(what, 0.0)
        return max(0.0, now - max(known_at, self.started_at + START_SECONDS))


def evaluate(inputs: HealthInputs, memory: Memory) -> list[Problem]:
    """Return what is wrong, the worst first."""
    found = [*_sweeps(inputs, memory), *_queues(inputs, memory), *_deliveries(inputs)]
    if inputs.is_database_read_only:
        text = "PostgreSQL is read-only: nothing can be registered or changed until it is writable."
        found.append(Problem("database", Level.UNHEALTHY, text))
    return sorted(found, key=lambda problem: -problem.level)


def _sweeps(inputs: HealthInputs, memory: Memory) -> Iterator[Problem]:
    if inputs.sweep_lag_seconds is None:
        return
    silence = memory.silence("sweeps", inputs.sweep_lag_seconds)
    if silence > DEGRADED_AFTER_SECONDS:
        yield Problem("sweeps", _level(silence), _sweep_text(inputs.sweep_lag_seconds))


def _sweep_text(lag_seconds: float) -> str:
    when = f"was {lag_seconds:.0f} s ago" if math.isfinite(lag_seconds) else "is not known"
    return f"The last sweep {when}: services that stop are not expired. Start 'manage.py sweep'."


def _queues(inputs: HealthInputs, memory: Memory) -> Iterator[Problem]:
    for queue, reported_seconds in inputs.unconsumed_seconds.items():
        silence = memory.silence(f"queue {queue}", reported_seconds)
        if silence > UNCONSUMED_AFTER_SECONDS:
            text = f"No worker consumes the queue {queue}. Start one with --queues={queue}."
            yield Problem("queues", _level(silence), text)


def _deliveries(inputs: HealthInputs) -> Iterator[Problem]:
    seconds = inputs.undelivered_seconds
    if seconds > UNDELIVERED_AFTER_SECONDS:
        text = f"A delivery has been due for {seconds:.0f} s and no worker delivers."
        yield Problem("deliveries", _level(seconds), text)


def _level(seconds: float) -> Level:
    return Level.UNHEALTHY if seconds > UNHEALTHY_AFTER_SECONDS else Level.DEGRADED
