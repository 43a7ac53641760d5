"""The command surface of updates for the apps above."""

from updates.checking import CheckResult
from updates.operations.checks import check
from updates.operations.releases import announce, make_available, quarantine, withdraw
from updates.releases import Announcement

__all__ = [
    "Announcement",
    "CheckResult",
    "announce",
    "check",
    "make_available",
    "quarantine",
    "withdraw",
]
