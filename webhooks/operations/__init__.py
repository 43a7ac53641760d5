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
from webhooks.operations.replays import not_of_others, replay_deliveries, visible_deliveries

__all__ = [
    "UNSET",
    "TestResult",
    "check_may_configure",
    "configure",
    "find_configuration",
    "may_configure",
    "not_of_others",
    "replay_deliveries",
    "send_test",
    "visible_deliveries",
]
