"""The command surface of webhooks: configure, notify, send again."""

from __future__ import annotations

from webhooks.operations.channels import add_channel, change_channel, remove_channel
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
    "add_channel",
    "change_channel",
    "check_may_configure",
    "configure",
    "find_configuration",
    "may_configure",
    "not_of_others",
    "remove_channel",
    "replay_deliveries",
    "send_test",
    "visible_deliveries",
]
