"""``make bench``: Saga, its own plain views and what others use, in one session, in one table.

Every row is measured in rounds, the servers one after the other within a round: what else the machine does
then hits all of them. Medians are shown, and of ratios those within a round. Answers are verified before.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import calls, load, servers
from bench.contestants import SERVICES, Contestant, WrongAnswer, ask, earlier, fill, others
from bench.load import Measured
from bench.servers import Bench, Server

ROWS = [
    *("lookup", "list", "heartbeat", "bulk heartbeat"),
    *("register again", "register new", "mixed"),
]
GROWING = "register new"  # comes last: it makes all lists longer
FEW = 100
WARM_UP_SECONDS = 1


def main() -> None:
    options = _options()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt install wrk); nothing can be measured.")
    with tempfile.TemporaryDirectory(prefix="saga-bench-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        with servers.bench(folder) as bench:
            _measure_all(bench, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rows", nargs="*", default=ROWS, choices=ROWS)
    parser.add_argument("--large", type=int, default=100_000, help="0 leaves it out")
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="compare with Saga at that commit, and with nothing else",
    )
    return parser.parse_args()


def _measure_all(bench: Bench, options: argparse.Namespace) -> None:
    saga = bench.saga()
    print(f"Saga started; load average {os.getloadavg()[0]:.1f}.", flush=True)
    contestants = {"saga": Contestant(saga, calls.saga())}
    fill(saga, SERVICES)
    if options.large and "lookup" in options.rows:
        _compare_sizes(bench, saga, options)
    contestants |= earlier(bench, options.against) if options.against else others(bench)
    steady = [row for row in options.rows if row != GROWING]
    results = _rounds(bench, contestants, steady, options)
    if "mixed" in steady:
        results |= _half_load(bench, contestants, results, options)
    _print_memory(contestants, SERVICES)
    if GROWING in options.rows:
        results |= _rounds(bench, contestants, [GROWING], options)
    _print_table(results, contestants)
    if "lookup" in steady:
        _print_open_and_required(results)


# --- Few services and many ------------------------------------------------------------------------


def _compare_sizes(bench: Bench, middle: Server, options: argparse.Namespace) -> None:
    """Look up services where there are few, some and many, in turn, each in a stack of its own."""
    sizes = {FEW: bench.saga("few"), SERVICES: middle, options.large: bench.saga("many")}
    for size, server in sizes.items():
        if server is not middle:
            fill(server, size)
    pattern = load.request("GET", "/api/v1/services/service-%06d")
    path = load.write(bench.folder / "pattern", [pattern])
    runs: dict[int, list[Measured]] = {size: [] for size in sizes}
    for number in range(options.rounds):
        for size, server in sizes.items():
            # What is made when a service is first asked for is made before: by each process, so twice over.
            warm_up = WARM_UP_SECONDS if number else max(WARM_UP_SECONDS, size // 10_000)
            for seconds in (warm_up, options.seconds):
                measured = load.run(
                    server.port, path, seconds=seconds, processes=server.parts, count=size
                )
            if measured.errors:
                raise WrongAnswer(f"{server.name} did not find {measured.errors} services")
            runs[size].append(measured)
    few = _median(runs[FEW])
    for size, several in runs.items():
        measured = _median(several)
        share = measured.per_second / few.per_second
        print(
            f"lookups of {size:,}: {measured.per_second:,.0f}/s ({share:.2f} ×),"
            f" {measured.cpu_us:.1f} µs of CPU each; a web process holds"
            f" {load.memory_mb(sizes[size].parts['web']):.0f} MB",
            flush=True,
        )
    for server in sizes.values():
        if server is not middle:
            bench.stop(server)


# --- Measuring ------------------------------------------------------------------------------------

#: By row and contestant, what each round measured.
Results = dict[tuple[str, str], list[Measured]]


def _rounds(
    bench: Bench,
    contestants: dict[str, Contestant],
    rows: list[str],
    options: argparse.Namespace,
    *,
    delays: dict[str, float] | None = None,
) -> Results:
    runs: Results = {}
    for number in range(options.rounds):
        for row in rows:
            for name, contestant in contestants.items():
                if row not in contestant.calls or (
                    name == "required" and row not in ("lookup", "heartbeat")
                ):
                    continue
                delay = (delays or {}).get(name, 0.0)
                run = f"{number}-{name[:2]}"
                with alone(contestant.server, [each.server for each in contestants.values()]):
                    measured = _run(bench, contestant, row, run, options.seconds, delay)
                runs.setdefault((row, name), []).append(measured)
    return runs


@contextlib.contextmanager
def alone(server: Server, servers: Iterable[Server]) -> Iterator[None]:
    """Halt the other Sagas, which work each second even without requests."""
    others = [
        process
        for each in servers
        if each is not server and each.launcher_pid is not None
        for part in ("web", "workers")
        for process in load.alive(each.parts[part])
    ]
    for process in others:
        process.suspend()
    try:
        yield
    finally:
        for process in others:
            process.resume()
        time.sleep(0.5)  # They take a new look at Redis.


def _run(
    bench: Bench,
    contestant: Contestant,
    row: str,
    run: str,
    seconds: float,
    delay_ms: float,
) -> Measured:
    call = contestant.calls[row]
    if call.words:
        server = contestant.server
        return load.run_redis(
            server.port, call.words, seconds=seconds, keys=SERVICES, processes=server.parts
        )
    requests = list(call.make(SERVICES))
    if row == GROWING:
        requests = [each.replace(b"new--", f"new-{run}-".encode()) for each in requests]
        requests = [_with_length(each) for each in requests]
    _verify(contestant.server, requests[0], call.proof)
    path = load.write(bench.folder / "requests", requests[row == GROWING :])
    if row != GROWING:
        # A halted Saga has a snapshot to take, and tokens to ask for.
        load.run(contestant.server.port, path, seconds=WARM_UP_SECONDS, processes={})
    return load.run(
        contestant.server.port,
        path,
        seconds=seconds,
        processes=contestant.server.parts,
        delay_ms=delay_ms,
    )


def _with_length(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def _verify(server: Server, request: bytes, proof: bytes) -> None:
    answer = ask(server.port, request)
    if b" 200 " not in answer[:20] or proof not in answer:
        raise WrongAnswer(f"{server.name} answered {answer[:300]!r} to {request[:200]!r}")


def _median(runs: list[Measured]) -> Measured:
    """Return the run in the middle by its rate; errors of all runs are kept."""
    ordered = sorted(runs, key=lambda run: run.per_second)
    middle = ordered[len(ordered) // 2]
    return Measured(
        per_second=statistics.median(run.per_second for run in runs),
        p50_ms=statistics.median(run.p50_ms for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
        errors=sum(run.errors for run in runs),
        cpu_us=statistics.median(run.cpu_us for run in runs),
        cpu_parts=middle.cpu_parts,
    )


def _half_load(
    bench: Bench, contestants: dict[str, Contestant], results: Results, options: argparse.Namespace
) -> Results:
    """Measure the mixed load again at half of what each could do, where latency is what its users see."""
    delays: dict[str, float] = {}
    for name in contestants:
        if ("mixed", name) in results:
            full = _median(results["mixed", name])
            delays[name] = max(2000 * load.CONNECTIONS / full.per_second - full.p50_ms / 2, 0.1)
    found = {name: each for name, each in contestants.items() if name in delays}
    half = _rounds(bench, found, ["mixed"], options, delays=delays)
    return {("mixed, half load", name): measured for (_, name), measured in half.items()}


# --- Showing --------------------------------------------------------------------------------------


def _print_table(results: Results, contestants: dict[str, Contestant]) -> None:
    print(f"\n{load.CONNECTIONS} connections, {SERVICES} services, two web processes; medians.\n")
    print("| call | who | /s | p50 ms | p99 ms | errors | CPU µs a request | Saga is |")
    print("|---|---|---|---|---|---|---|---|")
    for row in [*ROWS, "mixed, half load"]:
        for name, contestant in contestants.items():
            if (row, name) not in results:
                continue
            measured = _median(results[row, name])
            times = contestant.calls[row.partition(",")[0]].instances
            ratio = _ratio(results, row, "saga", name)
            shown = f"{ratio:.2f} ×" if name not in ("saga", "required") and "," not in row else ""
            parts = ", ".join(f"{part} {cost:.0f}" for part, cost in measured.cpu_parts.items())
            print(
                f"| {row} | {name} | {measured.per_second * times:,.0f} | {measured.p50_ms:.1f} |"
                f" {measured.p99_ms:.1f} | {measured.errors} | {measured.cpu_us:.0f} ({parts}) | {shown} |",
                flush=True,
            )


def _ratio(results: Results, row: str, name: str, other: str) -> float:
    """Return how many times as fast one was as another in the same round: the median of the rounds."""
    pairs = zip(results[row, name], results[row, other], strict=True)
    return statistics.median(one.per_second / two.per_second for one, two in pairs)


def _print_open_and_required(results: Results) -> None:
    for row in ("lookup", "heartbeat"):
        if (row, "required") in results and (row, "saga") in results:
            share = _ratio(results, row, "required", "saga")
            print(f"\n{row}: with SAGA_AUTH=required {share:.2f} × of open.")


def _print_memory(contestants: dict[str, Contestant], count: int) -> None:
    print(f"\nMemory with {count:,} services, the largest process of each part, in MB:")
    for name, contestant in contestants.items():
        parts = ", ".join(
            f"{part} {load.memory_mb(members):.0f}"
            for part, members in contestant.server.parts.items()
            if members
        )
        print(f"  {name}: {parts}", flush=True)


if __name__ == "__main__":
    main()
