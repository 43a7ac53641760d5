"""The names of everything in Redis, and how members and times are written there."""

from __future__ import annotations

from django.conf import settings

from saga_project.shared import redis_urls

# Channels, unlike keys, are shared by all databases of a Redis server.
_DATABASE = redis_urls.database_of(settings.REDIS_URL)
CHANGES_CHANNEL = f"saga:changes:{_DATABASE}"
WAKEUP_CHANNEL = f"saga:events:{_DATABASE}"

SERVICES, REVISIONS, DEADLINES = "saga:services", "saga:revisions", "saga:deadlines"
TTLS, HOLDS, EXPIRING, META = "saga:ttls", "saga:holds", "saga:expiring", "saga:meta"
HEARTBEATS = "saga:beats"
ALL = (SERVICES, REVISIONS, DEADLINES, TTLS, HOLDS, EXPIRING, META, HEARTBEATS, CHANGES_CHANNEL)


def member_of(service_name: str, instance_id: str) -> str:
    return f"{service_name}/{instance_id}"


def split_member(member: str) -> tuple[str, str]:
    service_name, _, instance_id = member.partition("/")
    return service_name, instance_id
