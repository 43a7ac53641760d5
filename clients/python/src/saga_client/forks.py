"""Call ``after_fork`` of objects whose threads and locks a fork leaves behind."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object that begins anew in a forked child."""

    def after_fork(self) -> None: ...


_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()


def remember(thing: Forkable) -> None:
    """Have ``thing.after_fork()`` called in each child, for as long as the object lives."""
    _objects.add(thing)


def _in_child() -> None:
    for thing in list(_objects):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
