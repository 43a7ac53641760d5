"""Metrics of deliveries: pending and dead ones at each scrape, and every attempt."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count
from prometheus_client import Counter, Metric

from saga_project.shared import metrics
from webhooks.models import Delivery

Status = Delivery.Status
attempts_total = Counter(
    "saga_delivery_attempts", "Attempts to deliver, by what came of them.", ["fate"]
)


def read() -> Iterable[Metric]:
    """Delivered ones are many and need no attention: their attempts are counted instead."""
    shown = (Status.PENDING, Status.SENDING, Status.DEAD)
    found = Delivery.objects.filter(status__in=shown).order_by()
    counts = {status.value: 0.0 for status in shown} | dict(
        found.values_list("status").annotate(Count("pk"))
    )
    yield metrics.gauge("saga_deliveries", "Deliveries, by status.", counts, label="status")


metrics.at_scrape(read)
