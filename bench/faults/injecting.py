"""One fault after another under clients, each followed until all is well again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from bench.faults import history as histories
from tests import waiting

Fault = Callable[[], None]


class Injection:
    """What campaigns on one host and on several have in common; a subclass says what is well."""

    patience_seconds = 120.0
    pause_seconds = 0.2
    faults: Mapping[str, Fault]
    _random: random.Random
    _history: histories.History

    def step(self, number: int) -> tuple[str, float]:
        """Inject one fault; return what it was, and the seconds until all was well again."""
        name = self._random.choice(list(self.faults))
        return name, self.inject(name, number=number)

    def inject(self, name: str, *, number: int) -> float:
        """Inject this fault while a service dies; return the seconds until all was well again."""
        dying = f"dying-{number}"
        self._history.register(dying)
        self._history.dying.append(dying)
        self.faults[name]()
        began = time.monotonic()
        try:
            waiting.until(
                self.is_well, seconds=self.patience_seconds, pause_seconds=self.pause_seconds
            )
        except AssertionError:
            self._history.note_violation(f"not well {self.patience_seconds:.0f} s after {name}")
            print(self.describe(), flush=True)
        return time.monotonic() - began

    def is_well(self) -> bool:
        raise NotImplementedError

    def describe(self) -> object:
        """Return what is known of a system that is not well."""
        raise NotImplementedError
