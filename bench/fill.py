"""Puts services into PostgreSQL and Redis in bulk: ``python -m bench.fill COUNT`` adds up to that many.

What the registry does one by one and durably, in the same tables and documents, only faster.
"""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saga_project.settings")
django.setup()

# isort: split
from django.utils import timezone  # noqa: E402

from registry.directory import projection  # noqa: E402
from registry.models import Instance, Service  # noqa: E402

PREFIX = "service-"
TTL_SECONDS = 3600
BATCH = 5000


def name(number: int) -> str:
    return f"{PREFIX}{number:06d}"


def url(number: int) -> str:
    return f"http://10.{number // 62500 % 250}.{number // 250 % 250}.{number % 250}:8000/api"


def fill(count: int) -> int:
    """Return how many were added; those that are there stay."""
    known = set(Service.objects.values_list("name", flat=True))
    missing = [number for number in range(count) if name(number) not in known]
    for start in range(0, len(missing), BATCH):
        _add(missing[start : start + BATCH])
    return len(missing)


def _add(numbers: list[int]) -> None:
    now = timezone.now()
    services = Service.objects.bulk_create(
        Service(
            name=name(number),
            status=Service.Status.ACTIVE,
            approved_at=now,
            is_auto_approved=True,
            registered_at=now,
            updated_at=now,
            last_heartbeat_at=now,
            version="1.4.2",
        )
        for number in numbers
    )
    Instance.objects.bulk_create(
        Instance(
            service=service,
            url=url(number),
            capabilities=["rest", "graphql"],
            version="1.4.2",
            ttl_seconds=TTL_SECONDS,
            registered_at=now,
            last_heartbeat_at=now,
        )
        for service, number in zip(services, numbers, strict=True)
    )
    projection.refill(changed_since=now)


if __name__ == "__main__":
    print(f"{fill(int(sys.argv[1]))} services added")
