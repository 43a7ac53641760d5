"""The command surface of webhooks: configure, notify, send again."""

from __future__ import annotations

from webhooks.operations.configuration import (
    UNSET,
    check_may_configure,
    configure,
    find_configuration,
    may_configure,
)
from webhooks.operations.notifications import TestResult, send_test
from webhooks.operations.replays import replay_deliveries

__all__ = [
    "UNSET",
    "TestResult",
    "check_may_configure",
    "configure",
    "find_configuration",
    "may_configure",
    "replay_deliveries",
    "send_test",
]
