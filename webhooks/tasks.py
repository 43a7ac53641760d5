"""The webhooks' queue: wake-ups for deliveries, recovery and purges."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from webhooks import inbound, retention
from webhooks.outbound import worker


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    worker.run()


@shared_task(name="webhooks.recover")
def recover() -> None:
    inbound.recover_all(now=timezone.now())


@shared_task(name="webhooks.purge")
def purge() -> None:
    retention.purge(now=timezone.now())
