"""Redis as Celery's broker, without the stalls that make a worker stop consuming.

kombu's own QoS removes an acknowledged message from Redis first, then from its own count. Where Redis does
not answer within the socket timeout, Celery logs the error and the message counts for ever: each such stall
costs a prefetch slot, and a worker without slots consumes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu.transport.redis


class SteadyQoS(kombu.transport.redis.QoS):
    """Stops counting a message whether or not Redis took the acknowledgement.

    What Redis keeps of it is delivered again after the visibility timeout, as after a crash.
    """

    _quick_ack: Callable[[str], None]

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except BaseException:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)
        except BaseException:
            self._quick_ack(delivery_tag)
            raise


def use_steady_acknowledgements() -> None:
    """Have every Redis transport of this process, Unix sockets and Sentinel included, count correctly."""
    channel: Any = kombu.transport.redis.Channel
    channel.QoS = SteadyQoS
