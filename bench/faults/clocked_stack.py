"""``make run`` with a Valkey whose clock can be set, by libfaketime, while it runs.

The file that ``SAGA_BENCH_CLOCK`` names holds by how many seconds the clock is wrong, such as ``+3600``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saga_project.local import stack
from saga_project.local.embedded import processes, valkey

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
CLOCK_VARIABLE = "SAGA_BENCH_CLOCK"
#: libfaketime reads its file anew after so long.
NOTICED_SECONDS = 1

_start_server = valkey.server


@contextmanager
def clock() -> Iterator[Path | None]:
    """Yield the file of a clock that is right; None where libfaketime is not installed (apt: faketime)."""
    if FAKETIME is None:
        yield None
        return
    with tempfile.NamedTemporaryFile("w", prefix="saga-clock-") as file:
        file.write("+0")
        file.flush()
        yield Path(file.name)


def variables(clock: Path | None) -> dict[str, str]:
    """Return what configures the clock for the launcher."""
    return {CLOCK_VARIABLE: str(clock)} if clock else {}


def _clocked_server(*arguments: Any, **options: Any) -> processes.Server:
    server = _start_server(*arguments, **options)
    server.argv = [
        *("/usr/bin/env", f"LD_PRELOAD={FAKETIME}", "DONT_FAKE_MONOTONIC=1"),
        f"FAKETIME_TIMESTAMP_FILE={os.environ[CLOCK_VARIABLE]}",
        f"FAKETIME_CACHE_DURATION={NOTICED_SECONDS}",
        *server.argv,
    ]
    return server


if __name__ == "__main__":
    if FAKETIME is not None and CLOCK_VARIABLE in os.environ:
        valkey.server = _clocked_server
    stack.main()
