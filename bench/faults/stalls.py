"""How long sweeps and deliveries stop after a stall of Redis, and whether one of them stops.

    python -m bench.faults.stalls --number 50

Redis is paused (CLIENT PAUSE) and frozen (SIGSTOP) in turn, for three seconds each, while events are
delivered all the time. Exit status 1 where something did not go on within a minute, or a process ended.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from pytest_httpserver import HTTPServer

from tests import stack as stacks
from tests import stalls


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=50)
    number: int = parser.parse_args().number
    with stacks.running() as stack, HTTPServer() as receiver:
        work = stalls.Work(stack, receiver)
        with work.going_on():
            stalls.recover(work, lambda _: None)
            before = stalls.workers(stack)
            seconds = [
                stalls.recover(work, (stalls.pause, stalls.freeze)[turn % 2])
                for turn in range(number)
            ]
        if stalls.workers(stack) != before:
            sys.exit("A process ended in a stall.")
    print(
        f"{number} stalls of {stalls.STALL_SECONDS:.0f} s: 0 stops; all is well again after"
        f" p50 {statistics.median(seconds):.1f} s, slowest {max(seconds):.1f} s"
    )


if __name__ == "__main__":
    main()
