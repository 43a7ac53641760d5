"""Presence and the sweep at a million instances, simulated: ``python -m bench.simulate_scale``.

Fills a Valkey of its own with documents, deadlines and TTLs as ``registry.presence`` keeps them, through its
own scripts, and measures memory, heartbeats in bulk, a sweep's question and the taking of what is overdue.
PostgreSQL is not part of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")

BATCH = 1000
TTL_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate_scale")
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--expiring", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saga-scale-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        with _store(folder):
            _simulate(options.instances, options.expiring)


@contextmanager
def _store(folder: Path) -> Iterator[None]:
    """Run a Valkey of our own, and have Django's settings name it before anything reads them."""
    from saga_project.local import embedded  # noqa: PLC0415 - the environment decides, so it comes first
    from saga_project.local.embedded import processes, valkey  # noqa: PLC0415

    embedded.remember_port(folder, "valkey", processes.any_free_port())
    server = valkey.server(folder)
    server.start()
    os.environ |= {"SAGA_DATA_DIR": str(folder), "REDIS_URL": embedded.redis_url(folder)}
    try:
        yield
    finally:
        server.stop()


def _simulate(instances: int, expiring: int) -> None:
    import django  # noqa: PLC0415

    django.setup()
    from registry import presence  # noqa: PLC0415

    presence.mark_filled()
    before = _memory()
    begun = time.perf_counter()
    for start in range(0, instances, BATCH):
        presence.put_all(
            [_change(presence, n) for n in range(start, min(start + BATCH, instances))]
        )
    filled = time.perf_counter() - begun
    used = _memory() - before
    print(
        f"{instances:,} instances: {used / 1e6:,.0f} MB in Redis, {used / instances:,.0f} bytes each;"
    )
    print(f"  written in {filled:.1f} s, {instances / filled:,.0f}/s")
    _heartbeat(presence, instances)
    _sweep(presence, expiring)


def _change(presence: Any, number: int) -> Any:
    name = f"service-{number:07d}"
    instance = {
        "instance_id": "default",
        "url": f"http://10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:8000/api",
        "capabilities": ["rest", "graphql"],
        "version": "1.4.2",
        "zone": "eu-1",
        "weight": 1,
        "metadata": {},
        "health_check_url": "",
        "health": "passing",
        "note": "",
        "registered_at": "2026-01-02T03:04:05.678901+00:00",
        "ttl": TTL_SECONDS,
        "is_draining": False,
    }
    document = {
        "name": name,
        "service_id": str(uuid.uuid4()),
        "status": "active",
        "health_status": "healthy",
        "misses": 0,
        "version": "1.4.2",
        "interval": 30,
        "account_id": None,
        "canary": None,
        "revision": 1,
        "instances": [instance],
    }
    return presence.Change(name, revision=1, document=document, renewed=[("default", 3600)])


def _memory() -> int:
    from saga_project.shared import redis  # noqa: PLC0415

    return int(redis.connection().info("memory")["used_memory"])


def _heartbeat(presence: Any, instances: int) -> None:
    count = min(instances, 200_000)
    begun = time.perf_counter()
    for start in range(0, count, BATCH):
        members = [f"service-{n:07d}/default" for n in range(start, start + BATCH)]
        presence.renew(members)
    took = time.perf_counter() - begun
    rate = count / took
    print(f"  heartbeats in calls of {BATCH:,}: {rate:,.0f}/s from one client;")
    print(
        f"  one from each every 30 s is {instances / 30:,.0f}/s, {instances / 30 / rate:.0%} of it"
    )


def _sweep(presence: Any, expiring: int) -> None:
    from saga_project.shared import redis  # noqa: PLC0415

    begun = time.perf_counter()
    seen = presence.overdue(within_seconds=2.5)
    asked = time.perf_counter() - begun
    print(f"  a sweep's question: {asked * 1000:.1f} ms ({seen.total:,} instances, none due)")
    client = redis.connection()
    members = [f"service-{n:07d}/default" for n in range(expiring)]
    client.hset(presence.META, "floor", 0)
    past = seen.now_us - 1_000_000
    client.zadd(presence.DEADLINES, dict.fromkeys(members, past))
    begun = time.perf_counter()
    due = presence.overdue(within_seconds=2.5)
    taken = presence.take_overdue(list(due.due))
    took = time.perf_counter() - begun
    print(f"  {len(taken):,} expiries found and taken out of presence in {took:.2f} s")


if __name__ == "__main__":
    main()
