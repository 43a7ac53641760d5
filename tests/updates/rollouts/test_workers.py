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


def test_a_node_of_another_host_is_refused(redis: Redis) -> None:
    redis.set(f"saga:node:{NODE}", "db2-0a1b2c3d-4026531836", ex=30)

    complaint = nodes.claim(["updates", f"node.{NODE}"])

    assert complaint == (
        f"SAGA_NODE_NAME: the host db2 works as node '{NODE}' already; give this host another name."
    )
    assert nodes.claim(["updates"]) == ""


def test_workers_of_one_host_share_a_node(redis: Redis) -> None:
    assert [nodes.claim([f"node.{NODE}"]) for _ in range(2)] == ["", ""]
    redis.set(f"saga:node:{NODE}", 1)  # by a worker of 0.9
    assert nodes.claim([f"node.{NODE}"]) == ""


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
