"""What Redis holds for Django's cache is data, never code."""

from __future__ import annotations

import os
import pickle

import pytest
from django.core.cache import cache
from redis import Redis


class Payload:
    """Unpickling this would set a variable of the environment."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.putenv, ("SAGA_UNPICKLED", "1")


def test_the_cache_keeps_json(redis: Redis) -> None:
    cache.set("state", {"suspects": 3, "is_protecting": False}, timeout=60)

    assert cache.get("state") == {"suspects": 3, "is_protecting": False}
    assert redis.get(cache.make_key("state")) == b'{"suspects": 3, "is_protecting": false}'


def test_the_cache_runs_no_pickle(redis: Redis) -> None:
    redis.set(cache.make_key("state"), pickle.dumps(Payload()))

    with pytest.raises(ValueError, match=r"decode|Expecting"):
        cache.get("state")
