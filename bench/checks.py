"""Health checks by one checker: ``python -m bench.checks``.

Starts PostgreSQL, Valkey and a target of its own, writes so many checks, and runs
``manage.py check_services`` on them. The target notes when each check arrives; the figures are its own, and
the processor time of the checker. Then the target fails, and the time until PostgreSQL holds all verdicts is
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
ROOT = Path(__file__).resolve().parents[1]
PER_SERVICE = 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.checks")
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--interval", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(_serve())
    else:
        with _servers(), _target() as port:
            _measure(options.checks, options.interval, options.seconds, port)


# --- The target -----------------------------------------------------------------------------------


class _Answering(asyncio.Protocol):
    arrivals: dict[bytes, list[float]] = {}
    is_failing = False
    closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        status, body = b"200 OK", b'{"status":"ok"}'
        if path == b"/figures":
            gaps = [b - a for each in self.arrivals.values() for a, b in itertools.pairwise(each)]
            times = [at for each in self.arrivals.values() for at in each]
            body = json.dumps({"gaps": sorted(gaps), "calls": len(times)}).encode()
            self.arrivals.clear()
        elif path == b"/fail":
            type(self).is_failing = True
        else:
            self.arrivals.setdefault(path, []).append(time.monotonic())
            status = b"503 Busy" if self.is_failing else status
        is_over = self.closes or b"\r\nConnection: close\r\n" in data
        head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n" % (
            status,
            len(body),
            b"close" if is_over else b"keep-alive",
        )
        self.transport.write(head + body)  # type: ignore[attr-defined]
        if is_over:
            self.transport.close()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(
        _Answering, "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def _target() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.checks", "--serve"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101 - by PIPE
        yield int(process.stdout.readline())
        process.terminate()


def _ask(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


# --- The measurement ------------------------------------------------------------------------------


@contextmanager
def _servers() -> Iterator[None]:
    command = [sys.executable, "-m", "saga_project.local.embedded.throwaway"]
    with (
        tempfile.TemporaryDirectory(prefix="saga-checks-") as folder,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout  # noqa: S101 - by PIPE
        assert process.stdin  # noqa: S101 - by PIPE
        os.environ |= json.loads(process.stdout.readline()) | {"SAGA_DATA_DIR": folder}
        try:
            yield
        finally:
            process.stdin.close()


def _measure(checks: int, interval: int, seconds: int, port: int) -> None:
    import django  # noqa: PLC0415 - the environment decides, so it comes first

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    from registry.models import CheckedInstance  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    _fill(checks, interval, port)
    with _checker() as process:
        time.sleep(2 * interval + 10)
        _ask(port, "/figures")
        before, begun = process.cpu_times(), time.monotonic()
        time.sleep(seconds)
        figures, after = json.loads(_ask(port, "/figures")), process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        elapsed = time.monotonic() - begun
        gaps = figures["gaps"]
        print(
            f"{checks:,} checks every {interval} s: {figures['calls'] / elapsed:,.0f} calls a second,"
            f" {100 * spent / elapsed:.0f} % of a core, {process.memory_info().rss / 1e6:.0f} MB;"
            f" between two of one check {gaps[len(gaps) // 2]:.2f} s,"
            f" p99 {gaps[len(gaps) * 99 // 100]:.2f} s, longest {gaps[-1]:.2f} s",
            flush=True,
        )
        _ask(port, "/fail")
        begun = time.monotonic()
        while CheckedInstance.objects.filter(verdict="critical").count() < checks:
            time.sleep(0.5)
        print(
            f"all of them fail: {checks:,} verdicts on record after {time.monotonic() - begun:.1f} s"
        )


@contextmanager
def _checker() -> Iterator[psutil.Process]:
    command = [sys.executable, "manage.py", "check_services"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        yield psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)


def _fill(checks: int, interval: int, port: int) -> None:
    from django.utils import timezone  # noqa: PLC0415

    from registry.models import HealthCheck, Instance, Service  # noqa: PLC0415

    now = timezone.now()
    times = {"registered_at": now, "updated_at": now}
    services = Service.objects.bulk_create(
        Service(name=f"service-{n}", status="active", **times) for n in range(checks // PER_SERVICE)
    )
    Instance.objects.bulk_create(
        Instance(
            service=service,
            instance_id=f"i{n}",
            url=f"http://127.0.0.1:{port}/{service.pk}/{n}",
            health_check_url=f"http://127.0.0.1:{port}/{service.pk}/{n}",
            ttl_seconds=3600,
            registered_at=now,
            last_heartbeat_at=now,
        )
        for service in services
        for n in range(PER_SERVICE)
    )
    HealthCheck.objects.bulk_create(
        HealthCheck(service=service, interval_seconds=interval) for service in services
    )


if __name__ == "__main__":
    main()
