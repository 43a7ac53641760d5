"""How long until every web process serves what was written: ``python -m bench.propagation``.

A writer registers changed URLs through either of two web processes in turn; readers ask both without a pause.
What counts is the time from the answer to the write until the last process stopped answering with an older
one. Half-way, the connections that carry the changes are cut, again and again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import redis as redis_library

from bench import servers

BOUND_SECONDS = 0.1
SERVICES = 4


class Reader(threading.Thread):
    """Asks one process for one service, and remembers when it first served each write."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self._port, self._name = port, name
        self.first_seen: dict[int, float] = {}
        self.last_older: dict[int, float] = {}
        self.newest = -1
        self.reads = self.refused = 0
        self.is_over = False

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        while not self.is_over:
            asked_at = time.monotonic()
            connection.request("GET", f"/api/v1/services/{self._name}")
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                self.refused += 1
                continue
            number = int(json.loads(content)["service_url"].rpartition("/")[2])
            self.reads += 1
            self.last_older[number] = asked_at
            self.newest = max(self.newest, number)


class Writer(threading.Thread):
    """Changes one service's URL through the processes in turn; the number in it grows."""

    def __init__(self, ports: list[int], name: str, writes: int) -> None:
        super().__init__()
        self._connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
        self._name, self._writes = name, writes
        self.answered: list[float] = []

    def run(self) -> None:
        for number in range(self._writes):
            connection = self._connections[number % len(self._connections)]
            body = {
                "service_name": self._name,
                "service_url": f"http://127.0.0.1:9/{number}",
                "ttl": 3600,
            }
            while True:
                connection.request(
                    "POST",
                    "/api/v1/services/register",
                    json.dumps(body),
                    {"Content-Type": "application/json"},
                )
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                time.sleep(0.01)
            self.answered.append(time.monotonic())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.propagation")
    parser.add_argument("--writes", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saga-bench-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        with servers.bench(folder) as bench:
            bench.saga()
            os.environ.update(bench.environment)
            ports = [bench.saga_alone(f"web.{n}").port for n in (1, 2)]
            _measure(ports, options.writes // SERVICES)


def _measure(ports: list[int], writes: int) -> None:
    names = [f"moving-{number}" for number in range(SERVICES)]
    for name in names:
        Writer(ports, name, 1).run()
    readers = [[Reader(port, name) for port in ports] for name in names]
    writers = [Writer(ports, name, writes) for name in names]
    for each in [*(reader for pair in readers for reader in pair), *writers]:
        each.start()
    cuts = _cut_now_and_then(writers)
    time.sleep(BOUND_SECONDS * 2)
    for pair in readers:
        for reader in pair:
            reader.is_over = True
            reader.join()
    _report(readers, writers, cuts)


def _cut_now_and_then(writers: list[Writer]) -> int:
    """From the middle on, kill the connections that subscribe, every two seconds; return how often."""
    cuts = 0
    half = len(writers) and writers[0]._writes // 2  # noqa: SLF001 - our own
    with redis_library.Redis.from_url(os.environ["REDIS_URL"]) as client:
        while any(writer.is_alive() for writer in writers):
            time.sleep(2)
            if len(writers[0].answered) > half:
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                cuts += 1
    return cuts


def _report(readers: list[list[Reader]], writers: list[Writer], cuts: int) -> None:
    lags: list[float] = []
    for pair, writer in zip(readers, writers, strict=True):
        for number, answered_at in enumerate(writer.answered[:-1]):
            # The last question asked to any process that was answered with this write's predecessor.
            older = max((reader.last_older.get(number - 1, 0.0) for reader in pair), default=0.0)
            lags.append(max(0.0, older - answered_at))
    stale = sum(lag > BOUND_SECONDS for lag in lags)
    reads = sum(reader.reads for pair in readers for reader in pair)
    refused = sum(reader.refused for pair in readers for reader in pair)
    cut = statistics.quantiles(lags, n=100)
    late = sum(lag > 0 for lag in lags)
    print(f"{len(lags):,} writes, {reads:,} reads ({refused} refused), {cuts} times cut off;")
    print(f"an older answer was asked for after the write was answered in {late} cases;")
    print(
        f"p50 {cut[49] * 1000:.2f} ms, p99 {cut[98] * 1000:.2f} ms, longest {max(lags) * 1000:.2f} ms;"
        f" beyond {BOUND_SECONDS * 1000:.0f} ms: {stale}"
    )


if __name__ == "__main__":
    main()
