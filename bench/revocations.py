"""How long a node works on after its revocation: its waiting poll, its next request, its agent.

    python -m bench.revocations --number 20

Each time a host joins anew, its agent waits in a poll of a real web process, and so does a second poll with
the same token; then the node is revoked. The clock stops when that poll is answered, when a report with the
token is refused, and when the agent's process has ended.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
from pathlib import Path

from bench.faults import servers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=20)
    arguments = parser.parse_args()
    with servers.running(), tempfile.TemporaryDirectory(prefix="saga-revoked-") as folder:
        revoking = importlib.import_module("bench.faults.revoking")  # needs Django to be set up
        rounds = revoking.revoke_each(Path(folder), arguments.number)
    for number, name in enumerate(("poll answered", "report refused", "agent ended")):
        seconds = sorted(each[number] for each in rounds)
        print(f"{name:<16} p50 {statistics.median(seconds):.2f} s, slowest {seconds[-1]:.2f} s")


if __name__ == "__main__":
    main()
