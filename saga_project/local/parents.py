"""Children that end with their parent, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    _libc = ctypes.CDLL(None, use_errno=True)

    def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
        """Have the kernel signal this process when its parent ends: no orphan keeps the port."""
        _libc.prctl(PR_SET_PDEATHSIG, number)

else:

    def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
        """Elsewhere the kernel offers nothing of the kind."""
