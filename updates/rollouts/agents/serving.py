"""Which nodes have an agent instead of workers, and which workers ask it."""

from __future__ import annotations

from updates.models import Node
from updates.rollouts import nodes

#: Workers of any host; they ask the agents of nodes.
ANY_WORKER = "updates"


def queue_for(node: str) -> str:
    """Return the queue of the workers that do the work of a node, or that ask its agent."""
    return ANY_WORKER if is_agent(node) else nodes.queue_of(node)


def is_agent(node: str) -> bool:
    """Whether an agent that staff approved does the work of the node."""
    return Node.objects.filter(name=node, status=Node.Status.APPROVED).exists()


def is_served_by(node: str, *, worker_of: str) -> bool:
    """Whether a worker of one node can do the work of ``node``: its own, or an agent's by asking it."""
    return node == worker_of or is_agent(node)


def is_away(node: str, *, worker_of: str) -> bool:
    """Whether an agent does the work of the node, and is known to be away."""
    return node != worker_of and not nodes.has_worker(node)


def names() -> list[str]:
    """Return the nodes that have agents."""
    found = Node.objects.filter(status=Node.Status.APPROVED).values_list("name", flat=True)
    return list(found)
