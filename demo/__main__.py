"""The story of ``make demo``: real processes, real archives, a real client that counts failures.

Starts a Saga of its own beside any other (its data in a temporary folder), and leaves nothing behind.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from demo.story import Story, say


def main() -> None:
    started_at = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saga-demo-")))
        # PostgreSQL of a root user runs as another account, which must get through.
        folder.chmod(0o711)
        is_well = Story(folder, stack).play()
    seconds = time.monotonic() - started_at
    say("dim", f"Everything is stopped and removed again. It took {seconds:.0f} s.")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
