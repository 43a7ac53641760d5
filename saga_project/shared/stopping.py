"""Whether this process was told to stop: work that can go on elsewhere ends at its next chance."""

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
