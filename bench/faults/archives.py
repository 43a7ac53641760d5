"""3,000 mutated archives and all hostile ones: refused with a reason, or unpacked inside their folder.

python -m bench.faults.archives --number 3000
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

from tests.updates.artifacts.archives import hostile
from updates.artifacts import archives

KINDS = ("tar.gz", "tar.xz", "zip")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=3000)
    arguments = parser.parse_args()
    reasons: collections.Counter[str] = collections.Counter()
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="saga-archives-") as folder:
        faults = [
            fault
            for number in range(arguments.number)
            if (fault := _try_one(Path(folder) / str(number), number, reasons))
        ]
    seconds = time.monotonic() - started_at
    print(
        f"{arguments.number} mutated archives in {seconds:.0f} s: {len(faults)} escaped or crashed"
    )
    for reason, count in reasons.most_common():
        print(f"  {count:5} {reason}")
    for fault in faults[:20]:
        print(f"  {fault}")
    sys.exit(1 if faults else 0)


def _try_one(cage: Path, number: int, reasons: collections.Counter[str]) -> str | None:
    kind = KINDS[number % len(KINDS)]
    into = cage / "into"
    into.mkdir(parents=True)
    path = cage.with_suffix(".archive")
    path.write_bytes(hostile.mutated(kind, number))
    try:
        archives.unpack(path, kind=kind, into=into)
        reasons["(unpacked)"] += 1
    except archives.HostileArchive as refusal:
        reasons[refusal.reason] += 1
    except Exception as exc:  # noqa: BLE001 (whatever else comes out is what we look for)
        return f"{kind} {number}: {exc!r}"
    outside = [found for found in cage.rglob("*") if not found.is_relative_to(into)]
    links = [found for found in into.rglob("*") if found.is_symlink()]
    return f"{kind} {number}: {outside or links}" if outside or links else None


if __name__ == "__main__":
    main()
