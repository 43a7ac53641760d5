"""Inbound calls: one module a route, and one a foreign sender."""

from __future__ import annotations

from webhooks.inbound.calls import Person
from webhooks.inbound.recovery import recover, recover_all
from webhooks.inbound.replays import replay_call

__all__ = ["Person", "recover", "recover_all", "replay_call"]
