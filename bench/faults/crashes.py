"""The crash matrix: kill -9 at every kind of moment, and again at random while it recovers.

    python -m bench.faults.crashes --kills 200

Each deployment replaces what runs on two targets, by each strategy, with a good or a bad artifact. Its
worker dies at a moment (before or after a query, or at a change of the file system), in every second run a
few times more. After each death ``current`` must be a complete verified release, and at the end all of it
new, or all of it old, one history entry written, nothing left behind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.faults import servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with servers.running(), tempfile.TemporaryDirectory(prefix="saga-crashes-") as folder:
        # What they import needs Django to be set up.
        from bench.faults import matrix  # noqa: PLC0415

        faults = matrix.run(Path(folder), kills=arguments.kills, seed=arguments.seed)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
