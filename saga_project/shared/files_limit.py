"""How many files and connections this process may have open."""

from __future__ import annotations

import resource


def raise_to_most() -> int:
    """Raise the soft limit to the hard one, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
