"""History of a million rows: how fast its pages are, and what an export takes in time and memory.

    python -m bench.updates_history [--rows 1000000]

Starts a stack of its own with one web process in an empty folder, fills the history, and measures over
HTTP. Prints the plans of the queries, too: each must read along an index.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from saga_project import embedded
from tests import stack

WEEK = "since=2026-06-01T00:00:00Z&until=2026-06-08T00:00:00Z"
PAGES = {
    "all services, newest 100": "/updates/history",
    "all services, newest 1000": "/updates/history?limit=1000",
    "all services, page 50": "/updates/history?offset=5000",
    "one service of a thousand": "/updates/history/service-500",
    "failed ones": "/updates/history?status=failed",
    "a week of a service": f"/updates/history/service-500?{WEEK}",
    "the last 30 days": "/updates/history?since=2026-10-23T00:00:00Z",
    "statistics": "/updates/statistics",
    "statistics of 30 days": "/updates/statistics?window=30d",
    "DORA of 30 days": "/updates/statistics/dora",
}
REQUESTS = 100
#: A year's worth, evenly; a thousand services; one in twenty failed, one in fifty rolled back.
FILL = """
INSERT INTO updates_historyentry (service_name, kind, status, old_version, new_version, running_version,
    timestamp, started_at, released_at, duration_seconds, artifact_url, checksum, artifact_path, backup_path,
    detail, recorded_by, recorded_at)
SELECT 'service-' || number %% 1000, 'deploy',
    CASE WHEN number %% 20 = 0 THEN 'failed' WHEN number %% 50 = 1 THEN 'rolled_back' ELSE 'success' END,
    '1.' || number || '.0', '1.' || number + 1 || '.0', '1.' || number + 1 || '.0',
    moment, moment - interval '40 s', moment - interval '1 day', 30 + number %% 60,
    'https://ci.example/artifacts/service-' || number %% 1000 || '-1.' || number || '.0.tar.gz',
    'sha256:' || encode(sha256(number::text::bytea), 'hex'),
    '/srv/saga/artifacts/' || number, '/srv/saga/backups/' || number, '', 'bench', now()
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
    LATERAL (SELECT now() - interval '365 days' * (1 - number::float / %(rows)s)) AS of(moment)
"""
PLANS = {
    "all services": """SELECT * FROM updates_historyentry {standing}
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "one service": """SELECT * FROM updates_historyentry {standing} AND service_name = 'service-500'
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "one status": """SELECT * FROM updates_historyentry {standing} AND status = 'failed'
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "an export's next chunk": """SELECT * FROM updates_historyentry {standing}
        AND (timestamp, id) < (now() - interval '100 days', 700000)
        ORDER BY timestamp DESC, id DESC LIMIT 2000""",
}
STANDING = (
    "WHERE NOT id IN (SELECT corrects_id FROM updates_historyentry WHERE corrects_id IS NOT NULL)"
)


@dataclass(frozen=True)
class Export:
    first_byte_seconds: float
    seconds: float
    size_bytes: int
    rows: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with stack.running(SAGA_WEB_PROCESSES="1", SAGA_AUTH="open") as running:
        fill(running.folder / "var", rows)
        show_plans(running.folder / "var")
        measure_pages(running.port)
        web = running.processes("uvicorn")[0]
        for kind in ("csv", "json"):
            measure_export(running.port, kind, rows, web)


def fill(data_dir: Path, rows: int) -> None:
    started = time.perf_counter()
    with psycopg.connect(embedded.database_url(data_dir), autocommit=True) as connection:
        for first in range(1, rows + 1, 100_000):
            last = min(first + 99_999, rows)
            connection.execute(FILL, {"first": first, "last": last, "rows": rows})
        connection.execute("VACUUM ANALYZE updates_historyentry")
    print(f"{rows:,} rows written in {time.perf_counter() - started:.0f} s\n")


def show_plans(data_dir: Path) -> None:
    with psycopg.connect(embedded.database_url(data_dir)) as connection:
        for name, query in PLANS.items():
            text = query.format(standing=STANDING)
            plan = [row[0] for row in connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {text}")]
            scan = next(line.strip() for line in plan if "history_" in line)
            print(f"{name:28} {scan.split(' (')[0]:70} {plan[-1]}")
    print()


def measure_pages(port: int) -> None:
    print(f"{'page':28} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for name, path in PAGES.items():
        times = sorted(_call(port, path) for _ in range(REQUESTS))
        p50, p95 = statistics.median(times), times[int(REQUESTS * 0.95) - 1]
        print(f"{name:28} {p50 * 1000:8.1f} {p95 * 1000:8.1f} {times[-1] * 1000:8.1f}")
    print()


def _call(port: int, path: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", f"/api/v1{path}")
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - started
    connection.close()
    if response.status != 200:
        raise SystemExit(f"{path} answered {response.status}: {body[:200]!r}")
    return seconds


def measure_export(port: int, kind: str, rows: int, web: psutil.Process) -> None:
    before = web.memory_info().rss
    with _watching_memory(web) as seen:
        export = _export(port, kind)
    if export.rows != rows:
        raise SystemExit(f"The {kind} export has {export.rows:,} rows, not {rows:,}.")
    print(
        f"export {kind:5} first byte {export.first_byte_seconds * 1000:6.0f} ms, {export.seconds:5.1f} s,"
        f" {export.rows / export.seconds:9,.0f} rows/s, {export.size_bytes / 1e6:6.0f} MB;"
        f" web process {before / 1e6:.0f} MB before, at most {max(seen) / 1e6:.0f} MB meanwhile"
    )


def _export(port: int, kind: str) -> Export:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    started = time.perf_counter()
    connection.request("GET", f"/api/v1/updates/history/export/{kind}")
    response = connection.getresponse()
    mark = b"\r\n" if kind == "csv" else b'"new_version"'
    rows, size, tail, first = -1 if kind == "csv" else 0, 0, b"", 0.0
    while chunk := response.read1(1 << 16):
        first = first or time.perf_counter() - started
        size += len(chunk)
        # A mark may be cut in two; what could begin one is kept for the next chunk.
        text = tail + chunk
        rows += text.count(mark)
        tail = text[-(len(mark) - 1) :]
    connection.close()
    return Export(first, time.perf_counter() - started, size, rows)


@contextlib.contextmanager
def _watching_memory(process: psutil.Process) -> Iterator[list[int]]:
    seen, is_over = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


if __name__ == "__main__":
    main()
