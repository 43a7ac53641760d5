"""The command surface of webhooks: be told, tell, configure, replay, recover."""

from __future__ import annotations

from webhooks.inbound.calls import Person
from webhooks.operations.configuration import (
    KEEP,
    configure,
    find_configuration,
    may_configure,
    rotate_secrets,
)
from webhooks.operations.inbound import receive
from webhooks.operations.notifications import TestResult, send_test
from webhooks.operations.recovery import recover, recover_all
from webhooks.operations.replays import replay_call, replay_deliveries

__all__ = [
    "KEEP",
    "Person",
    "TestResult",
    "configure",
    "find_configuration",
    "may_configure",
    "receive",
    "recover",
    "recover_all",
    "replay_call",
    "replay_deliveries",
    "rotate_secrets",
    "send_test",
]
