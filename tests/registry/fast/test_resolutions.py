"""Resolutions from memory, and what is remembered of their queries."""

from __future__ import annotations

import datetime as dt

import orjson
import pytest
from redis import Redis

from registry import operations
from registry.fast import resolutions
from tests import replica

pytestmark = pytest.mark.django_db(transaction=True)


def test_many_different_keys_leave_resolutions_without_a_query_in_memory(redis: Redis) -> None:
    """Each user has a sticky key of its own, so that the table of queries is emptied now and then."""
    registration = operations.Registration(service_name="pay", url="http://127.0.0.1:9")
    operations.register(registration, by=None, now=dt.datetime.now(dt.UTC))

    with replica.following():
        sticky = [
            resolutions.resolved(b"pay/resolve?sticky=%d" % number)
            for number in range(resolutions.MAX_QUERIES + 1)
        ]
        plain = resolutions.resolved(b"pay/resolve")

    assert None not in sticky
    assert plain is not None
    assert orjson.loads(plain[1])["service_name"] == "pay"
