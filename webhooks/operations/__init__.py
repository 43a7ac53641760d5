"""The command surface of webhooks: be told, tell, configure, replay, recover."""

from __future__ import annotations

from webhooks.operations.configuration import KEEP, configure, find_configuration, rotate_secrets
from webhooks.operations.inbound import receive
from webhooks.operations.notifications import TestResult, send_test
from webhooks.operations.replays import replay_call, replay_deliveries

__all__ = [
    "KEEP",
    "TestResult",
    "configure",
    "find_configuration",
    "receive",
    "replay_call",
    "replay_deliveries",
    "rotate_secrets",
    "send_test",
]
