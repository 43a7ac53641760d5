"""A client as any other: asks Saga where the service is, calls it, all the time, and never tries again."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter

PAUSE_SECONDS = 0.02


class Client:
    def __init__(self, saga: str, name: str) -> None:
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []
        self._url = f"{saga}/services/{name}/resolve"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def calls(self) -> int:
        return self.versions.total() + len(self.failures)

    def _run(self) -> None:
        while not self._is_over.wait(PAUSE_SECONDS):
            try:
                place = _get(self._url)["service_url"]
                self.versions[_get(place)["version"]] += 1
            except (OSError, ValueError, KeyError) as exc:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {exc}")


def _get(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return dict(json.load(answer))
