"""What workers owe the clock: ``python -m bench.workers``.

Starts the stack as ``make run`` does, twice: once anew, once over what is there. In between 10,000 of 90,000
services fall silent, three times (fewer than the share at which mass expiry is held back), and one sweep has
to notice. A backlog of deliveries is measured by ``bench.webhooks backlog``, many deployments by
``bench.deployments``.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django
import psutil

from bench import load, servers
from bench.servers import Bench

SERVICES = 90_000
SILENT = 10_000
SWEEPS = 3
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
PARTS = {"web": "uvicorn", "sweeps": "sweeps@", "worker": "worker@", "beat": "beat"}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="saga-workers-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        with servers.bench(folder) as bench:
            began = time.monotonic()
            saga = bench.saga()
            print(f"first start, until /readyz: {time.monotonic() - began:.1f} s")
            launcher = psutil.Process(saga.parts["web"][0].ppid())
            os.environ.update(bench.environment)
            django.setup()
            subprocess.run(
                [sys.executable, "-m", "bench.fill", str(SERVICES)], check=True, cwd=servers.ROOT
            )
            sweeper = _program(launcher, PARTS["sweeps"])
            for _ in range(SWEEPS):
                expire(sweeper)
            for part, word in PARTS.items():
                members = [_program(launcher, word)]
                print(f"memory of {part}: {load.memory_mb(members):.0f} MB")
            launcher.send_signal(signal.SIGINT)
            launcher.wait(30)
            start_again(bench, folder)


def _program(launcher: psutil.Process, word: str) -> psutil.Process:
    """Return the program of the stack whose command line has the word."""
    return next(each for each in launcher.children() if word in " ".join(each.cmdline()))


def start_again(bench: Bench, folder: Path) -> None:
    port = servers.free_port()
    began = time.monotonic()
    environment = {"PORT": str(port), "SAGA_DATA_DIR": str(folder / "saga")}
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
        bench.environment.pop(name, None)
    bench.start([sys.executable, "-m", "saga_project.stack", "run"], "again", **environment)
    servers.until_answering(f"http://127.0.0.1:{port}/readyz")
    print(f"second start, until /readyz: {time.monotonic() - began:.1f} s")


def expire(sweeper: psutil.Process) -> None:
    """Let some fall silent behind the back of the stack's own sweeper, and sweep them up here."""
    from registry import monitor, presence  # noqa: PLC0415 - of the stack that runs by now
    from registry.models import Instance  # noqa: PLC0415

    sweeper.suspend()
    try:
        instances = Instance.objects.live().order_by("pk").values_list("service__name", flat=True)
        names = list(instances[:SILENT])
        hours_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
        Instance.objects.filter(service__name__in=names).update(registered_at=hours_ago)
        client = presence.connection()
        client.hset(presence.META, "floor", 0)
        past = (client.time()[0] - 4000) * 1_000_000
        client.zadd(
            presence.DEADLINES, {presence.member_of(name, "default"): past for name in names}
        )
        began = time.monotonic()
        swept = monitor.sweep()
        took = time.monotonic() - began
    finally:
        sweeper.resume()
    print(f"{swept.expired:,} expiries in one sweep: {took:.2f} s", flush=True)


if __name__ == "__main__":
    main()
