"""What a worker does beside its tasks: it says that it lives, and takes up what its predecessor left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from redis import Redis

from registry.models import Service
from tests.updates.rollouts import crashing, scenes
from updates import tasks
from updates.rollouts import leases, nodes

NODE = "machine-7"


class Heart:
    """As much of Celery's Heart as a listener sees."""

    def __init__(self, *queues: str) -> None:
        consumed = SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues)))
        self.eventer = SimpleNamespace(hostname="w", app=SimpleNamespace(amqp=consumed))


def test_worker_with_a_heartbeat_is_alive_for_each_of_its_nodes(redis: Redis) -> None:
    before = nodes.has_worker(NODE)

    tasks.note_life(Heart("updates", f"node.{NODE}"))

    assert (before, nodes.has_worker(NODE)) == (False, True)
    assert not nodes.has_worker("updates")
    assert 0 < redis.ttl(f"saga:node:{NODE}") <= nodes.BELIEVED_SECONDS


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_starts_frees_what_its_predecessor_held(
    scene: scenes.Scene, shop: Service
) -> None:
    job = scene.deploy(shop, "2.0.0")
    crashing.run_until(job, 20)
    before = leases.take(job.pk)

    tasks.take_up_what_was_left()

    assert before is None
    assert leases.take(job.pk) is not None
