"""The registry's queue: doorbells for ``monitor``."""

from __future__ import annotations

from celery import shared_task

from registry.background import monitor


@shared_task(name="registry.sweep")
def sweep() -> None:
    monitor.sweep()


@shared_task(name="registry.flush")
def flush() -> None:
    monitor.flush_heartbeats()


@shared_task(name="registry.count_misses")
def count_misses() -> None:
    monitor.count_misses()


@shared_task(name="registry.reconcile")
def reconcile() -> None:
    monitor.reconcile()


@shared_task(name="registry.purge")
def purge() -> None:
    monitor.purge_idempotency_keys()
    monitor.purge_events()
