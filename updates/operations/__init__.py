"""The command surface of updates for the apps above."""

from updates.checking import CheckResult
from updates.operations.checks import check
from updates.operations.jobs import (
    abort,
    acknowledge,
    deploy,
    pause,
    promote,
    resume,
    retry,
    roll_back,
)
from updates.operations.releases import announce, make_available, quarantine, withdraw
from updates.releases import Announcement

__all__ = [
    "Announcement",
    "CheckResult",
    "abort",
    "acknowledge",
    "announce",
    "check",
    "deploy",
    "make_available",
    "pause",
    "promote",
    "quarantine",
    "resume",
    "retry",
    "roll_back",
    "withdraw",
]
