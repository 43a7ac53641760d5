"""Whether this process was asked to stop: work that another process can continue ends at its next check."""

from __future__ import annotations

import threading

_is_stopping = threading.Event()


def begin() -> None:
    _is_stopping.set()


def has_begun() -> bool:
    return _is_stopping.is_set()


def take_back() -> None:
    """For tests, whose process goes on."""
    _is_stopping.clear()
