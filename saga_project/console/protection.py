"""The state of mass-expiry protection, for the console's notices."""

from __future__ import annotations

from typing import Any

from django_redis.exceptions import ConnectionInterrupted
from redis import exceptions as redis_exceptions

from registry.background import protection


def state() -> dict[str, Any]:
    """Return ``word`` (off, on, silent: no sweep ran lately, unknown: Redis is gone) and the counts."""
    try:
        seen = protection.state()
    except (ConnectionInterrupted, redis_exceptions.RedisError):
        return {"word": "unknown"}
    if seen is None:
        return {"word": "silent"}
    return {
        "word": "on" if seen["is_protecting"] else "off",
        "suspects": seen["suspects"],
        "instances": seen["instances"],
    }
