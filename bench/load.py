"""Requests as bytes, and wrk to send them: rates, latencies and the server's CPU time."""

from __future__ import annotations

import contextlib
import csv
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CONNECTIONS = 32
REDIS_CALLS_A_SECOND = 60_000  # it sends so many, however long that takes
REPLAY = Path(__file__).with_name("replay.lua")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def request(method: str, path: str, *, body: bytes = b"", headers: Sequence[str] = ()) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    elif method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode() + body


def write(path: Path, requests: Iterable[bytes]) -> Path:
    """Write requests as ``replay.lua`` reads them."""
    with path.open("wb") as file:
        for each in requests:
            file.write(b"%d\n%b" % (len(each), each))
    return path


@dataclass(frozen=True)
class Measured:
    """One run: requests a second, latencies in ms, answers that were none, CPU in µs a request."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    cpu_parts: dict[str, float]


def run(
    port: int,
    requests: Path,
    *,
    seconds: float,
    processes: dict[str, list[psutil.Process]],
    delay_ms: float = 0.0,
    count: int | None = None,
) -> Measured:
    """Send the requests over 32 connections for some seconds; ``processes`` are those that answer.

    With ``count``, the first request is a pattern for numbers below it.
    """
    command = [
        *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "--timeout", "5s"),
        *("-s", str(REPLAY), f"http://127.0.0.1:{port}/", "--", str(requests), f"{delay_ms}"),
        *([] if count is None else [str(count)]),
    ]
    output, spent = _run(command, processes)
    parts = _each(spent, int(_find(r"(\d+) requests in", output)))
    return Measured(
        per_second=float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_milliseconds(_find(r"(?m)^\s+50%\s+(\S+)", output)),
        p99_ms=_milliseconds(_find(r"(?m)^\s+99%\s+(\S+)", output)),
        errors=_errors(output),
        cpu_us=sum(parts.values()),
        cpu_parts=parts,
    )


def run_redis(
    port: int,
    words: Sequence[str],
    *,
    seconds: float,
    keys: int,
    processes: dict[str, list[psutil.Process]],
) -> Measured:
    """Send one command over 32 connections, in Redis' own protocol, with redis-benchmark."""
    count = int(REDIS_CALLS_A_SECOND * seconds)
    command = [
        *("redis-benchmark", "-p", str(port), "-c", str(CONNECTIONS), "-n", str(count)),
        *("-r", str(keys), "--csv", *words),
    ]
    output, spent = _run(command, processes)
    parts = _each(spent, count)
    [row] = csv.DictReader(output.splitlines())
    return Measured(
        per_second=float(row["rps"]),
        p50_ms=float(row["p50_latency_ms"]),
        p99_ms=float(row["p99_latency_ms"]),
        errors=0,
        cpu_us=sum(parts.values()),
        cpu_parts=parts,
    )


def _run(
    command: list[str], processes: dict[str, list[psutil.Process]]
) -> tuple[str, dict[str, float]]:
    """Return what the load generator printed, and the CPU in seconds that was spent meanwhile."""
    before = {part: _cpu(members) for part, members in processes.items()}
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = {part: _spent(before[part], _cpu(members)) for part, members in processes.items()}
    return output, spent


def _each(spent: dict[str, float], count: int) -> dict[str, float]:
    """Return seconds for so many requests as µs for one."""
    return {part: seconds / max(count, 1) * 1e6 for part, seconds in spent.items()}


def _find(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(f"wrk said something else than {pattern}: {output}")
    return match[1]


def _errors(output: str) -> int:
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    return int(refused[1] if refused else 0) + sum(
        int(n) for n in (broken.groups() if broken else ())
    )


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        raise RuntimeError(f"wrk said {text!r} for a time")
    return float(match[1]) * _UNITS[match[2]]


def _cpu(processes: list[psutil.Process]) -> dict[int, float]:
    """Return the seconds that each has used; one that ended is left out."""
    spent: dict[int, float] = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            spent[process.pid] = sum(process.cpu_times()[:2])
    return spent


def _spent(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(seconds - before[pid] for pid, seconds in after.items() if pid in before)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running()]


def memory_mb(processes: list[psutil.Process]) -> float:
    """Return the memory that these processes do not share with others, the largest of them, in MB."""
    return max(process.memory_full_info().uss for process in alive(processes)) / 1e6
