"""A million rows each of history, jobs and events: how fast their pages are, and what an export takes.

    python -m bench.updates_history [--rows 1000000] [--requests 200]

Starts a stack of its own with one web process in an empty folder, fills it, and measures over HTTP, one
call after the other. Prints the plans of the queries, too: each must read along an index.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import psycopg

from bench import updates_fill
from tests import stack

WEEK = "since=2026-06-01T00:00:00Z&until=2026-06-08T00:00:00Z"
ONE = "service-000500"
PAGES = {
    "history, newest 100": "/updates/history",
    "history, newest 1000": "/updates/history?limit=1000",
    "history, page 50": "/updates/history?offset=5000",
    "history of a service": f"/updates/history/{ONE}",
    "history, failed ones": "/updates/history?status=failed",
    "history, a service's week": f"/updates/history/{ONE}?{WEEK}",
    "history, last 30 days": "/updates/history?since={month_ago}",
    "statistics": "/updates/statistics",
    "statistics of 30 days": "/updates/statistics?window=30d",
    "DORA of 30 days": "/updates/statistics/dora",
    "jobs, newest 100": "/updates/jobs",
    "jobs of a service": f"/updates/jobs?service={ONE}",
    "jobs, failed ones": "/updates/jobs?status=failed",
    "jobs, running ones (none)": "/updates/jobs?status=running",
    "events, newest 100": "/events",
    "events after a cursor": "/events?after={cursor}",
    "events of a service": f"/events?service={ONE}",
    "events of a rare type": "/events?type=delivery.*",
    "events of a type": "/events?type=deployment.*&after={cursor}",
}
#: Added up again after each change, whereas between two changes they are kept.
KEPT = {
    "statistics of 30 days": "/updates/statistics?window=30d",
    "DORA of 30 days": "/updates/statistics/dora",
}
CHANGE = """
INSERT INTO updates_historyentry (service_name, kind, status, old_version, new_version, timestamp,
    duration_seconds, detail, recorded_by, recorded_at)
VALUES ('service-000500', 'deploy', 'success', '1.0.0', '1.0.1', now(), 30, '', 'bench', now())
"""
PLANS = {
    "history": """SELECT * FROM updates_historyentry {standing}
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "history of a service": """SELECT * FROM updates_historyentry {standing} AND service_name = '{one}'
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "history of a status": """SELECT * FROM updates_historyentry {standing} AND status = 'failed'
        ORDER BY timestamp DESC, id DESC LIMIT 100""",
    "an export's next chunk": """SELECT * FROM updates_historyentry {standing}
        AND (timestamp, id) < (now() - interval '100 days', 700000)
        ORDER BY timestamp DESC, id DESC LIMIT 2000""",
    "jobs": "SELECT * FROM updates_job ORDER BY created_at DESC, id DESC LIMIT 100",
    "jobs of a status": """SELECT * FROM updates_job WHERE status IN ('failed')
        ORDER BY created_at DESC, id DESC LIMIT 100""",
    "events": "SELECT * FROM registry_event ORDER BY transaction DESC, id DESC LIMIT 100",
    "events of a service": """SELECT * FROM registry_event WHERE service_name = '{one}'
        ORDER BY transaction DESC, id DESC LIMIT 100""",
    "events of a type": """SELECT * FROM registry_event WHERE type LIKE 'delivery.%'
        ORDER BY transaction DESC, id DESC LIMIT 100""",
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
    parser.add_argument("--requests", type=int, default=200, help="Of each page.")
    asked = parser.parse_args()
    with stack.running(SAGA_WEB_PROCESSES="1", SAGA_AUTH="open") as running:
        updates_fill.fill(running, asked.rows)
        show_plans(updates_fill.database_url(running))
        measure_pages(running.port, asked.requests)
        added = measure_after_changes(
            running.port, asked.requests, updates_fill.database_url(running)
        )
        web = running.processes("uvicorn")[0]
        for kind in ("csv", "json"):
            measure_export(running.port, kind, asked.rows + added, web)


def show_plans(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for name, query in PLANS.items():
            text = query.format(standing=STANDING, one=ONE)
            plan = [row[0] for row in connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {text}")]
            scans = [line.strip() for line in plan if "Scan" in line]
            scan = next((line for line in scans if "Index" in line), scans[0])
            took = plan[-1].removeprefix("Execution Time: ")
            print(f"{name:24} {scan.split(' (')[0].removeprefix('->  '):64} {took:>10}")
    print()


def measure_pages(port: int, requests: int) -> None:
    """Time each page; the first call is shown apart, since figures of a window are kept until they change."""
    month_ago = (dt.datetime.now(dt.UTC) - dt.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    middle = {"month_ago": month_ago, "cursor": _cursor_in_the_middle(port)}
    print(f"{'page, ms':30} {'first':>8} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}")
    for name, path in PAGES.items():
        _show(name, [_call(port, path.format(**middle))[0] for _ in range(requests + 1)])
    print()


def measure_after_changes(port: int, requests: int, database_url: str) -> int:
    """Time what is kept between changes, each time after one; returns how many entries were added."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, path in KEPT.items():
            times = []
            for _ in range(requests + 1):
                connection.execute(CHANGE)
                times.append(_call(port, path)[0])
            _show(f"{name}, changed", times)
    print()
    return (requests + 1) * len(KEPT)


def _show(name: str, times: list[float]) -> None:
    first, *rest = times
    cuts = statistics.quantiles(rest, n=100)
    figures = (first, cuts[49], cuts[94], cuts[98], max(rest))
    print(f"{name:30}" + "".join(f" {seconds * 1000:8.1f}" for seconds in figures))


def _cursor_in_the_middle(port: int) -> str:
    newest = json.loads(_call(port, "/events")[1])["cursor"]
    return f"{int(newest.partition('-')[0]) // 2}-0"


def _call(port: int, path: str) -> tuple[float, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", f"/api/v1{path}")
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - started
    connection.close()
    if response.status != 200:
        raise SystemExit(f"{path} answered {response.status}: {body[:200]!r}")
    return seconds, body


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
