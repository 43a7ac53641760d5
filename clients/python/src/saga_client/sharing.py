"""Share one instance between the processes of a machine, by locks that the kernel frees at their end.

Each process holds ``.members`` shared; one holds ``.leader`` exclusively. A process that gets ``.members``
exclusively when it leaves was the last one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every process is its own leader and the last one
    fcntl = None  # type: ignore[assignment]


class Share:
    """This process's part in what ``key`` names; all processes of one account share it."""

    def __init__(self, key: str) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        self._base = Path(tempfile.gettempdir()) / f"saga-{_account()}" / digest
        self._members: int | None = None
        self._leader: int | None = None
        self.is_leader = False

    def join(self) -> None:
        """Become a member."""
        if fcntl is None:
            return
        self._members, self._leader = self._open("members"), self._open("leader")
        if self._members is not None:
            fcntl.flock(self._members, fcntl.LOCK_SH)

    def lead(self) -> bool:
        """Return whether this process is the leader, after trying to become it."""
        if fcntl is None or self._leader is None:
            self.is_leader = True
        elif not self.is_leader:
            self.is_leader = _try_exclusive(self._leader)
        return self.is_leader

    def leave(self) -> bool:
        """Give up both locks and return whether this was the last member."""
        was_last = self._members is None or _try_exclusive(self._members)
        self._close()
        return was_last

    def rejoin(self) -> None:
        """Join anew in a forked child: an inherited lock is the parent's."""
        self._close()
        self.join()

    def _close(self) -> None:
        for descriptor in (self._members, self._leader):
            if descriptor is not None:
                os.close(descriptor)
        self._members = self._leader = None
        self.is_leader = False

    def _open(self, kind: str) -> int | None:
        """Return a lock file, or None where no folder can be written: then nothing is shared."""
        with contextlib.suppress(OSError):
            self._base.parent.mkdir(mode=0o700, exist_ok=True)
            if self._base.parent.stat().st_uid == os.getuid():
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                return os.open(self._base.with_suffix(f".{kind}"), flags, 0o600)
        return None


def _account() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
