"""A message counts as consumed although Redis did not take its acknowledgement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import kombu
import pytest
from django.conf import settings
from kombu.transport.redis import Channel
from redis import exceptions

from saga_project.shared import broker
from tests import faults


@pytest.fixture
def proxy() -> Iterator[faults.FaultProxy]:
    url = urlsplit(settings.REDIS_URL)
    with faults.FaultProxy(url.hostname or "", url.port or 6379).running() as running:
        yield running


@pytest.fixture
def delivered(redis: Any, proxy: faults.FaultProxy) -> Iterator[Any]:
    """A message that a consumer with one prefetch slot has taken."""
    url = urlsplit(settings.REDIS_URL)
    url = url._replace(netloc=f":{url.password or ''}@127.0.0.1:{proxy.port}")
    options = {"socket_timeout": 0.2}
    with kombu.Connection(url.geturl(), transport_options=options) as connection:
        channel: Any = connection.channel()
        channel.basic_qos(0, 1, False)
        queue = kombu.Queue("test", channel=channel)
        queue.declare()
        kombu.Producer(channel).publish({}, routing_key="test")
        yield queue.get(no_ack=False)
        proxy.thaw()


def test_every_redis_channel_counts_like_that() -> None:
    assert Channel.QoS is broker.SteadyQoS


@pytest.mark.parametrize("verb", ["ack", "reject"])
def test_a_stall_during_an_acknowledgement_costs_no_prefetch_slot(
    delivered: Any, proxy: faults.FaultProxy, verb: str
) -> None:
    qos = delivered.channel.qos
    assert not qos.can_consume()
    proxy.freeze()

    with pytest.raises(exceptions.TimeoutError):
        getattr(delivered, verb)()

    assert qos.can_consume()


def test_an_acknowledged_message_is_removed(delivered: Any, redis: Any) -> None:
    assert redis.hlen("unacked") == 1

    delivered.ack()

    assert redis.hlen("unacked") == 0
    assert delivered.channel.qos.can_consume()
