"""At most so many streams at once on this server, counted over all its web processes.

A slot is one byte of a file, locked by the process that holds it: the kernel gives the slots of a process
that dies to others, whatever it died of.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path


class StreamSlots:
    def __init__(self, path: Path, *, total: int) -> None:
        self._path = path
        self._total = total
        self._taken: set[int] = set()
        self._lock = threading.Lock()
        self._file: int | None = None

    def take(self) -> int | None:
        """Return the number of a slot that is now this process's, or None where all are taken."""
        with self._lock:
            for slot in range(self._total):
                if slot not in self._taken and self._is_free(slot):
                    self._taken.add(slot)
                    return slot
            return None

    def give_back(self, slot: int) -> None:
        with self._lock:
            self._taken.discard(slot)
            fcntl.lockf(self._opened(), fcntl.LOCK_UN, 1, slot)

    def _is_free(self, slot: int) -> bool:
        try:
            fcntl.lockf(self._opened(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except BlockingIOError:
            return False
        return True

    def _opened(self) -> int:
        """Open the file once: closing any descriptor of it would drop all locks of the process."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file
