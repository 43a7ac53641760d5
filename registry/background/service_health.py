"""Write the health of many services at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import connection

from registry.directory import projection
from registry.models import Service


def save(services: Sequence[Service], *, now: dt.datetime) -> None:
    """Write the new health of services with locked rows in one statement, and publish it."""
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            [
                now,
                [service.pk for service in services],
                [service.consecutive_misses for service in services],
                [service.status for service in services],
                [service.health_status for service in services],
            ],
        )
    for service in services:
        service.revision += 1
    projection.schedule_all(services)


_COUNT = """
UPDATE registry_service AS service
   SET consecutive_misses = counted.misses, status = counted.status, health_status = counted.health,
       revision = service.revision + 1, updated_at = %s
  FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::text[]) AS counted (id, misses, status, health)
 WHERE service.id = counted.id
"""
