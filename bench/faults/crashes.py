"""The crash matrix: kill -9 at every boundary of every step, or at any moment and again while it recovers.

    python -m bench.faults.crashes boundaries
    python -m bench.faults.crashes steps
    python -m bench.faults.crashes random --kills 200
    python -m bench.faults.crashes frozen --every 1
    python -m bench.faults.crashes agents --rounds 1
    python -m bench.faults.crashes partitions --rounds 1

Each deployment replaces what runs on two targets, by each strategy, with a good or a bad artifact.
``boundaries`` kills its worker once: when a step is journaled as begun, when it is done and not yet
journaled, and when it is journaled as ended; in turn, in each step, also of the way back. ``random``
kills before or after any query, or at any change of the file system, in every second run a few times
more. ``frozen`` stops a worker at each moment that is not inside of a transaction, makes its lease of a
second run out and another worker take over, and wakes it: no row, no file and no restart may come of that.
``steps`` kills the workers of one deployment again and again, in each of its steps, for each kind of
deployment: strategies, slots, instances, hooks, metrics, retries, installers, fast rollbacks, and rollbacks
that staff have tried again.
``agents`` kills the agent of a node in each step, at each boundary in turn: when its order has come, amidst
the step, when it is done, when its outcome is kept, when it is reported. ``partitions`` cuts the
host of an agent off (as root: it is a network namespace), for 1 to 130 seconds, from each step on in turn.
After each death ``current`` must be a complete verified release, and at the end all of it new, or
all of it old, one history entry written, nothing left behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from bench.faults import network, servers


def _enter_network() -> None:
    """Move this process to a network with a switch, before any thread and server starts."""
    if not network.is_possible():
        sys.exit("Partitions need root and iproute2.")
    network.enter()
    os.environ["SAGA_ALLOWED_HOSTS"] = network.OWN_ADDRESS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kind", choices=("boundaries", "steps", "random", "frozen", "agents", "partitions")
    )
    parser.add_argument("--kills", type=int, default=200, help="of the random ones")
    parser.add_argument(
        "--strategy",
        choices=("rolling", "canary", "waves"),
        help="only this one; not of the frozen",
    )
    parser.add_argument("--case", nargs="*", help="only these kinds of deployment, of the steps")
    parser.add_argument(
        "--rounds", type=int, default=4, help="deployments of each kind, of the steps and agents"
    )
    parser.add_argument("--every", type=int, default=1, help="of the moments to freeze at")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # that steps fail is what it is about
    if arguments.kind == "partitions":
        _enter_network()
    with servers.running(), tempfile.TemporaryDirectory(prefix="saga-crashes-") as folder:
        # What they import needs Django to be set up.
        from bench.faults import agents, each_step, matrix, partitions, sleepers  # noqa: PLC0415

        if unknown := set(arguments.case or ()) - set(each_step.NAMES):
            parser.error(f"--case: {', '.join(unknown)}; there are {', '.join(each_step.NAMES)}")
        strategies = [arguments.strategy] if arguments.strategy else matrix.STRATEGIES
        if arguments.kind == "boundaries":
            faults = matrix.kill_at_boundaries(Path(folder), strategies=strategies)
        elif arguments.kind == "steps":
            faults = each_step.kill_in_each_step(
                Path(folder),
                names=arguments.case or each_step.NAMES,
                rounds=arguments.rounds,
                seed=arguments.seed,
            )
        elif arguments.kind == "agents":
            faults = agents.kill_in_each_step(
                Path(folder), rounds=arguments.rounds, seed=arguments.seed
            )
        elif arguments.kind == "partitions":
            faults = partitions.cut_off(Path(folder), rounds=arguments.rounds)
        elif arguments.kind == "frozen":
            faults = sleepers.freeze_at_each_moment(Path(folder), every=arguments.every)
        else:
            faults = matrix.kill_at_random(
                Path(folder), strategies=strategies, kills=arguments.kills, seed=arguments.seed
            )
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
