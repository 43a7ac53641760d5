"""What it costs to be watched: metrics that are scraped, traces that are sent, lines that are logged.

    make var/bench/otel/stamp && python -m bench.observed [--rounds 4] [--seconds 2]

Two stacks as ``make run`` starts them, one of them traced; each call is measured as it is, while a client
reads ``/metrics`` each second, and traced, in turn. A collector here takes the spans and counts their bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import io
import logging
import logging.config
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

from bench import load, servers
from bench.contestants import SERVICES, fill
from bench.load import Measured
from bench.run import WARM_UP_SECONDS, alone
from bench.servers import Bench, Server
from saga_project.shared import logs

TRACED_PYTHON = servers.ROOT / "var/bench/otel/bin/python"
LINES = 5000
SCRAPES = 30
#: The part that answers each; Django answers what the fast path does not know.
CALLS = {
    "lookup (fast path)": ("GET", "/api/v1/services/service-000001"),
    "heartbeat (fast path)": ("POST", "/api/v1/services/service-000001/heartbeat"),
    "one page of ten (Django)": ("GET", "/api/v1/services?limit=10"),
    "events, newest ten (Django)": ("GET", "/api/v1/events?limit=10"),
}


class Collector:
    """Takes what exporters of spans send, over OTLP/HTTP."""

    def __init__(self) -> None:
        collector = self
        self.bytes = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector.bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    measure_lines()
    collector = Collector()
    with (
        tempfile.TemporaryDirectory(prefix="saga-bench-") as name,
        collector.running(),
        servers.bench(Path(name).resolve()) as bench,
    ):
        bench.folder.chmod(0o711)
        measure_calls(bench, collector, options)


def measure_lines() -> None:
    """Time a line of each form, from the call to the end of the write."""
    for form in ("text", "json"):
        with contextlib.redirect_stderr(io.StringIO()):
            logging.config.dictConfig(logs.configuration(form=form, level="INFO"))
            begun = time.perf_counter()
            for number in range(LINES):
                logging.getLogger("registry").info("check failed", extra={"service": number})
            took = time.perf_counter() - begun
        print(f"a line as {form}: {took / LINES * 1e6:.0f} µs")


def measure_calls(bench: Bench, collector: Collector, options: argparse.Namespace) -> None:
    quiet = bench.saga()
    watched = {"as it is": quiet, "scraped each second": quiet}
    if TRACED_PYTHON.exists():
        watched["traced"] = bench.saga(
            "traced", python=str(TRACED_PYTHON), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        )
    else:
        print("Traces are not measured: make var/bench/otel/stamp installs what they need.")
    for server in {each.name: each for each in watched.values()}.values():
        fill(server, SERVICES)
    print(f"a scrape: {_time_scrapes(quiet) * 1000:.1f} ms")
    runs: dict[tuple[str, str], list[Measured]] = {}
    for _ in range(options.rounds):
        for call in CALLS:
            for how, server in watched.items():
                measured = _run(bench, watched, how, server, call, options.seconds)
                runs.setdefault((call, how), []).append(measured)
    _print(runs)
    print(f"\nThe collector took {collector.bytes / 1e6:.1f} MB of spans.")


def _time_scrapes(server: Server) -> float:
    times = []
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        _scrape(server)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _scrape(server: Server) -> None:
    with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        if b"saga_fast_path_answers_total" not in answer.read():
            raise SystemExit("/metrics has nothing of the fast path")


def _run(
    bench: Bench,
    watched: dict[str, Server],
    how: str,
    server: Server,
    call: str,
    seconds: float,
) -> Measured:
    path = load.write(bench.folder / "requests", [load.request(*CALLS[call])])
    with alone(server, watched.values()):
        load.run(server.port, path, seconds=WARM_UP_SECONDS, processes={})
        with (
            _each_second(lambda: _scrape(server)) if "scraped" in how else contextlib.nullcontext()
        ):
            measured = load.run(server.port, path, seconds=seconds, processes=server.parts)
    if measured.errors:
        raise SystemExit(f"{call}, {how}: {measured.errors} answers were none")
    return measured


@contextlib.contextmanager
def _each_second(act: Callable[[], None]) -> Iterator[None]:
    is_over = threading.Event()

    def run() -> None:
        act()
        while not is_over.wait(1):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _print(runs: dict[tuple[str, str], list[Measured]]) -> None:
    print("\n| call | how | /s | p99 ms | CPU µs a request | × as it is |")
    print("|---|---|---|---|---|---|")
    for (call, how), several in runs.items():
        pairs = zip(several, runs[call, "as it is"], strict=True)
        ratio = statistics.median(one.per_second / two.per_second for one, two in pairs)
        rate, p99, cpu = (
            statistics.median(getattr(run, figure) for run in several)
            for figure in ("per_second", "p99_ms", "cpu_us")
        )
        print(f"| {call} | {how} | {rate:,.0f} | {p99:.1f} | {cpu:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
